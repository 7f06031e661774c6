package main

import (
	"bytes"
	"errors"
	"net/netip"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/vishvananda/netlink"

	"github.com/peregrine-rpc/peregrine/internal/netns"
)

// street is clients, a relay and a server, in namespaces that are joined by cables.
type street struct{ client, middle, server *netns.Namespace }

func newStreet(t *testing.T, inside, outside int) street {
	t.Helper()
	var all [3]*netns.Namespace
	for i := range all {
		n, err := netns.New()
		if errors.Is(err, netns.ErrNotPermitted) {
			t.Skip(err)
		}
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, n.Close()) })
		all[i] = n
	}
	port := func(n *netns.Namespace, name, addr string) netns.Port {
		return netns.Port{Namespace: n, Name: name, Addresses: []netip.Prefix{netip.MustParsePrefix(addr)}}
	}
	s := street{all[0], all[1], all[2]}
	require.NoError(t, netns.Veth(inside, port(s.client, "client", "10.8.0.1/24"), port(s.middle, "inside", "10.8.0.2/24")))
	require.NoError(t, netns.Veth(outside, port(s.middle, "outside", "10.8.1.1/24"), port(s.server, "server", "10.8.1.2/24")))
	return s
}

// serveIn starts a server in a namespace.
func serveIn(t *testing.T, n *netns.Namespace, args ...string) *running {
	t.Helper()
	return serveBy(t, program(t, args...), n.Do)
}

// perfIn runs the load generator in a namespace and returns its result.
func perfIn(t *testing.T, n *netns.Namespace, addr string, args ...string) map[string]any {
	t.Helper()
	path := filepath.Join(t.TempDir(), "result.json")
	var out bytes.Buffer
	cmd := program(t, append([]string{"perf", addr, "--duration", "200ms", "--warmup", "50ms", "--patience", "1m", "--json", path}, args...)...)
	cmd.Stdout, cmd.Stderr = &out, &out
	require.NoError(t, n.Do(cmd.Start))
	require.NoError(t, cmd.Wait(), out.String())
	return readJSON(t, path)
}

// untouched makes sure that no program is on the relay's interfaces.
func (s street) untouched(t *testing.T) {
	t.Helper()
	require.NoError(t, s.middle.Do(func() error {
		links, err := netlink.LinkList()
		for _, l := range links {
			x := l.Attrs().Xdp
			require.False(t, x != nil && x.Attached, "a program is on %s", l.Attrs().Name)
		}
		return err
	}))
}

func TestARelayOfTwoInterfacesLeavesNothingBehind(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"native", "generic"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			s := newStreet(t, 1500, 1500)
			server := serveIn(t, s.server, "serve", "udp://10.8.1.2:0", "--plain", "--patience", "1m")
			r := serveIn(t, s.middle, "relay", "xdp://inside?port=7000&mode="+mode, server.addr, "--transport", "xdp://outside?mode="+mode, "--json", filepath.Join(t.TempDir(), "r.json"))
			for _, args := range [][]string{{}, {"--mode", "upload", "--size", "1MiB", "--duration", "2s"}, {"--mode", "download", "--size", "64KiB", "--duration", "2s"}} {
				require.Positive(t, perfIn(t, s.client, "10.8.0.2:7000", args...)["calls"])
			}
			said := r.interrupted(t)
			require.Contains(t, said, "datagrams to the server are sent as they lie, to clients sent as they lie")
			if mode == "native" { // in generic mode what these kernels send comes by a socket of this one's
				require.Contains(t, said, " without copy and 0 copied once; 6 flows opened")
			}
			s.untouched(t)

			// Killed, it leaves as little, and the interfaces can be had at once.
			killed := serveIn(t, s.middle, "relay", "xdp://inside?port=7000&mode="+mode, server.addr, "--transport", "xdp://outside?mode="+mode)
			require.Positive(t, perfIn(t, s.client, "10.8.0.2:7000")["calls"])
			require.NoError(t, killed.Process.Kill())
			require.Error(t, killed.Wait())
			<-killed.rest
			require.Eventually(t, func() bool {
				attached := false
				err := s.middle.Do(func() error {
					l, err := netlink.LinkByName("inside")
					attached = err == nil && l.Attrs().Xdp != nil && l.Attrs().Xdp.Attached
					return err
				})
				return err == nil && !attached
			}, time.Minute, time.Millisecond)
			server.interrupted(t)
		})
	}
}

func TestInterfacesThatCannotShareMemoryCopyAndSaySo(t *testing.T) {
	t.Parallel()
	s := newStreet(t, 3000, 3000)
	server := serveIn(t, s.server, "serve", "udp://10.8.1.2:0", "--plain", "--patience", "1m")
	r := serveIn(t, s.middle, "relay", "xdp://inside?port=7000&rx_ring=512", server.addr, "--transport", "xdp://outside?mtu=1500")
	require.Positive(t, perfIn(t, s.client, "10.8.0.2:7000", "--mode", "upload", "--size", "1MiB", "--duration", "2s")["calls"])
	said := r.interrupted(t)
	require.Contains(t, said, "note: datagrams are copied, for the interfaces cannot have one memory")
	require.Contains(t, said, "give all of them the same MTU")
	require.Contains(t, said, " 0 without copy and ")
	require.Contains(t, said, " too large for the other side", "the ends have found out what the path carries")
	s.untouched(t)
	server.interrupted(t)
}
