package wire

import (
	"errors"
	"testing"

	"github.com/asavie/xdp"
	"github.com/stretchr/testify/require"
	"github.com/vishvananda/netlink"

	"github.com/peregrine-rpc/peregrine/internal/netns"
	"github.com/peregrine-rpc/peregrine/internal/transporttest"
)

func TestMain(m *testing.M) { transporttest.Isolated(m) }

// A program that is attached as this library does stays when its process is gone.
func TestWhatAKilledProcessLeftOnAnEndIsTakenOff(t *testing.T) {
	t.Parallel()
	w, err := New()
	if errors.Is(err, netns.ErrNotPermitted) {
		t.Skip(err)
	}
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, w.Close()) })

	require.NoError(t, w.Clear(), "nothing is there")
	attached := func(n *netns.Namespace, name string) (is bool) {
		require.NoError(t, n.Do(func() error {
			link, err := netlink.LinkByName(name)
			if err == nil {
				is = link.Attrs().Xdp != nil && link.Attrs().Xdp.Attached
			}
			return err
		}))
		return is
	}
	require.NoError(t, w.client.Do(func() error {
		program, err := xdp.NewProgram(1)
		if err != nil {
			return err
		}
		link, err := netlink.LinkByName(ClientInterface)
		if err != nil {
			return err
		}
		return errors.Join(program.Attach(link.Attrs().Index), program.Close())
	}))
	require.True(t, attached(w.client, ClientInterface))
	require.NoError(t, w.Clear())
	require.False(t, attached(w.client, ClientInterface))
	require.False(t, attached(w.server, ServerInterface))
}
