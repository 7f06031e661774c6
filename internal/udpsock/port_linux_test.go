package udpsock

import (
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestAPortOfTheKernelsChoiceIsNobodyElses opens many, for the kernel deals out
// a port that another has only now and then.
func TestAPortOfTheKernelsChoiceIsNobodyElses(t *testing.T) {
	t.Parallel()
	const rounds, endpoints, queues = 5, 400, 2
	for _, share := range []bool{false, true} {
		for range rounds {
			taken := map[netip.AddrPort]bool{}
			var held []*Socket
			for range endpoints {
				set := Defaults()
				set.Address, set.Share, set.MTU = "127.0.0.1:0", share, 1500
				for queue := range queues {
					s, err := Open("udp", set, queue, queues)
					require.NoError(t, err)
					held = append(held, s)
					set.Address = s.Local.String()
				}
				local := held[len(held)-1].Local
				require.False(t, taken[local], "%v is two endpoints'", local)
				taken[local] = true
			}
			for _, s := range held {
				require.NoError(t, s.Close())
			}
		}
	}
}
