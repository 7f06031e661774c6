package xdp

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine/internal/xsk"
	"github.com/peregrine-rpc/peregrine/transport"
)

// verifying has an open transport accept whole checksums only, as from a card.
func verifying(t *testing.T, tr transport.Transport) {
	t.Helper()
	p := tr.(*queue).port
	require.NoError(t, p.tables.stop())
	p.device.virtual = false
	require.NoError(t, p.look())
	take(t, tr) // the queue takes it over
}

// The kernel is asked in place of a card, which no virtual device is.
func TestWhoeverCompletesChecksumsTheyAreRight(t *testing.T) {
	if !xsk.CanOffloadChecksums() {
		t.Skip("this kernel takes no metadata (Linux 6.11)")
	}
	for _, who := range []string{"on", "off"} {
		for _, m := range []string{"native", "generic"} {
			t.Run(who+" "+m, func(t *testing.T) {
				w := wired(t, 1500, "10.9.0.1/24", "10.9.0.2/24", "fd09::1/64", "fd09::2/64")
				near := opened(t, w.near.xdp(func(c *Config) { c.Mode, c.TxChecksum = m, who }))
				far := opened(t, w.far.xdp(mode(m)))
				require.Equal(t, who == "on", near.(*queue).offload)
				verifying(t, far)
				for _, at := range w.far.addrs {
					before := far.Stats()
					for range 20 {
						reaches(t, near, far, addrPort(at, far))
					}
					require.Equal(t, before.RxMalformed, far.Stats().RxMalformed)
				}
				if who == "on" {
					require.Contains(t, strings.Join(near.Caps().Notes, "\n"), "tx_checksum is on, and the kernel does it")
				}
			})
		}
	}
}

func TestAJumboPacketHasItsChecksumFromUs(t *testing.T) {
	w := wired(t, 9000, fourAddresses...)
	requireRefused(t, w.near, func(c *Config) { c.TxChecksum = "on" }, "tx_checksum", "MTU of 9000")
}

// veth calls nobody by name who polls it. So the options are left alone, and a note
// says so.
func TestBusyPollingIsLeftWhereItWouldNotEngage(t *testing.T) {
	w := wired(t, 1500, fourAddresses...)
	near, far := opened(t, w.near.xdp(func(c *Config) { c.BusyPoll = 50 })), opened(t, w.far.xdp(nil))
	require.Contains(t, near.Caps().Notes[0], "busy_poll will hardly engage")
	q := near.(*queue)
	require.Equal(t, wanted, q.polling)
	reaches(t, far, near, near.LocalAddr())
	require.Equal(t, unwanted, q.polling)

	q.polling = engaged // as on a card: an empty look polls the device
	reaches(t, near, far, far.LocalAddr())
	reaches(t, far, near, near.LocalAddr())
}

// What a veth calls its speed limits nobody.
func TestTheLinkRateIsThatOfACard(t *testing.T) {
	w := wired(t, 1500, fourAddresses...)
	near := opened(t, w.near.xdp(nil))
	d := near.(*queue).port.device
	require.EqualValues(t, 10_000, d.speed)
	require.Zero(t, near.Caps().LinkRate)
	d.virtual = false
	require.EqualValues(t, 10e9, d.linkRate())
}
