package netdev

import (
	"net"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/peregrine-rpc/peregrine/internal/netns"
)

func TestWhatAnInterfaceCanDoIsTold(t *testing.T) {
	t.Parallel()
	space, err := netns.New()
	if err != nil {
		t.Skip(err)
	}
	defer space.Close()
	require.NoError(t, space.Do(func() error {
		require.NoError(t, netns.Veth(1500, netns.Port{Name: "left"}, netns.Port{Name: "right"}))
		link, err := net.InterfaceByName("left")
		require.NoError(t, err)
		f, err := Of(link.Index)
		if err != nil {
			t.Skipf("Linux 6.3 tells: %v", err)
		}
		require.NotZero(t, f.XDP, "veth has native mode")
		require.False(t, f.TXChecksum(), "and nothing that takes a card")
		napi, err := NAPI(link.Index, 0)
		if err == nil {
			require.Zero(t, napi, "nor does it name who serves a queue")
		}
		_, err = Of(1 << 20)
		require.Error(t, err)
		_, err = NAPI(1<<20, 0)
		require.Error(t, err)

		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
		require.NoError(t, err)
		defer unix.Close(fd)
		_, err = ReadRSS(fd, "left")
		require.ErrorIs(t, err, unix.EOPNOTSUPP, "veth spreads without a table")
		_, err = ReadRSS(fd, "nowhere")
		require.ErrorIs(t, err, unix.ENODEV)
		return nil
	}))
}

func FuzzAnAnswerIsTakenApart(f *testing.F) {
	f.Add([]byte{})
	f.Add(append(make([]byte, nl.SizeofGenlmsg), nl.NewRtAttr(devXSK, nl.Uint64Attr(2)).Serialize()...))
	f.Fuzz(func(t *testing.T, message []byte) {
		found, err := numbers(message)
		require.True(t, err == nil || found == nil)
	})
}

func TestNumbersOfAnAnswer(t *testing.T) {
	t.Parallel()
	message := make([]byte, nl.SizeofGenlmsg)
	message = append(message, nl.NewRtAttr(devIfindex, nl.Uint32Attr(7)).Serialize()...)
	message = append(message, nl.NewRtAttr(devXSK, nl.Uint64Attr(2)).Serialize()...)
	message = append(message, nl.NewRtAttr(9, []byte("a name\x00")).Serialize()...)
	found, err := numbers(message)
	require.NoError(t, err)
	require.Equal(t, map[uint16]uint64{devIfindex: 7, devXSK: 2}, found)
	require.True(t, Features{XSK: found[devXSK]}.TXChecksum())
}
