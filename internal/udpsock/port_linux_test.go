package udpsock

import (
	"net"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
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

// openedQueues opens the queues of one endpoint.
func openedQueues(t *testing.T, address string, queues int, share bool) (all []*Socket, err error) {
	set := Defaults()
	set.Address, set.Share = address, share
	for queue := range queues {
		s, err := Open("udp", set, queue, queues)
		if err != nil {
			return nil, err
		}
		t.Cleanup(func() { require.NoError(t, s.Close()) })
		all = append(all, s)
		set.Address = netip.AddrPortFrom(netip.MustParseAddrPort(address).Addr(), s.Local.Port()).String()
	}
	return all, nil
}

func TestAPortIsSharedOnlyAmongThoseWhoShareIt(t *testing.T) {
	t.Parallel()
	for _, queues := range []int{1, 2, 3} {
		for _, hosts := range [][2]string{
			{"127.0.0.1", "127.0.0.1"}, {"0.0.0.0", "127.0.0.1"}, {"127.0.0.1", "0.0.0.0"},
			{"[::]", "127.0.0.1"}, {"[::1]", "[::]"}, {"[::]", "[::]"},
		} {
			at := func(host string, s *Socket) string {
				_, port, err := net.SplitHostPort(s.Local.String())
				require.NoError(t, err)
				return host + ":" + port
			}
			own, err := openedQueues(t, hosts[0]+":0", queues, false)
			require.NoError(t, err)
			for _, newcomers := range []int{1, 2} {
				_, err = openedQueues(t, at(hosts[1], own[0]), newcomers, true)
				require.ErrorIs(t, err, unix.EADDRINUSE, "who shares takes no port of %d queues on %s", queues, hosts[0])
			}

			shared, err := openedQueues(t, hosts[0]+":0", queues, true)
			require.NoError(t, err)
			_, err = openedQueues(t, at(hosts[1], shared[0]), 2, false)
			require.ErrorIs(t, err, unix.EADDRINUSE, "who does not share gets none")
			for range 2 { // at the same address: elsewhere another test may have the port
				_, err = openedQueues(t, at(hosts[0], shared[0]), 2, true)
				require.NoError(t, err, "who shares joins")
			}
		}
	}
}
