package netns

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

// TestMain moves the tests out of the host's namespace, where they may.
func TestMain(m *testing.M) {
	if err := Isolate(); err != nil && !errors.Is(err, ErrNotPermitted) {
		panic(err)
	}
	goleak.VerifyTestMain(m)
}

// namespace makes one for this test.
func namespace(t *testing.T) *Namespace {
	t.Helper()
	n, err := New()
	if errors.Is(err, ErrNotPermitted) {
		t.Skip(err)
	}
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, n.Close()) })
	return n
}

func names(t *testing.T) []string {
	t.Helper()
	links, err := net.Interfaces()
	require.NoError(t, err)
	var names []string
	for _, l := range links {
		names = append(names, l.Name)
	}
	return names
}

func TestTwoNamespacesTalk(t *testing.T) {
	t.Parallel()
	a, b := namespace(t), namespace(t)
	require.NoError(t, Veth(1400,
		Port{Namespace: a, Name: "left", Addresses: prefixes("10.1.0.1/24", "fd01::1/64")},
		Port{Namespace: b, Name: "right", Addresses: prefixes("10.1.0.2/24", "fd01::2/64")}))

	for _, addr := range []string{"10.1.0.2", "fd01::2"} {
		var server *net.UDPConn
		require.NoError(t, b.Do(func() (err error) {
			server, err = net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(addr), 0)))
			return err
		}))
		var client *net.UDPConn
		require.NoError(t, a.Do(func() (err error) {
			client, err = net.DialUDP("udp", nil, server.LocalAddr().(*net.UDPAddr))
			return err
		}))
		_, err := client.Write([]byte("good morning"))
		require.NoError(t, err)
		data := make([]byte, 100)
		n, err := server.Read(data)
		require.NoError(t, err)
		require.Equal(t, "good morning", string(data[:n]))
		require.NoError(t, client.Close())
		require.NoError(t, server.Close())
	}
}

func TestAPortIsWhatWasAskedFor(t *testing.T) {
	t.Parallel()
	n := namespace(t)
	mac, _ := net.ParseMAC("02:00:00:00:12:34")
	require.NoError(t, Veth(9000, Port{Name: "here", MAC: mac}, Port{Namespace: n, Name: "there", Addresses: prefixes("10.1.0.2/24")}))

	here, err := net.InterfaceByName("here")
	require.NoError(t, err)
	require.Equal(t, 9000, here.MTU)
	require.Equal(t, mac, here.HardwareAddr)
	require.NotZero(t, here.Flags&net.FlagUp)
	addrs, err := here.Addrs()
	require.NoError(t, err)
	require.Empty(t, addrs, "the kernel has no address of its own, not even link-local")

	require.NoError(t, n.Do(func() error {
		there, err := net.InterfaceByName("there")
		require.NoError(t, err)
		require.Equal(t, 9000, there.MTU)
		require.NotZero(t, there.Flags&net.FlagUp)
		return nil
	}))
}

func TestThreadsStayWhereTheyAre(t *testing.T) {
	t.Parallel()
	n := namespace(t)
	require.NoError(t, n.Do(func() error {
		require.Equal(t, []string{"lo"}, names(t))
		return Veth(1500, Port{Name: "inside"}, Port{Name: "besides"})
	}))
	for range 10 * runtime.GOMAXPROCS(0) {
		seen := make(chan []string)
		go func() { seen <- names(t) }()
		require.NotContains(t, <-seen, "inside")
	}
}

func TestAnErrorComesBack(t *testing.T) {
	t.Parallel()
	n := namespace(t)
	trouble := errors.New("trouble")
	require.ErrorIs(t, n.Do(func() error { return trouble }), trouble)
	require.ErrorContains(t, n.Do(func() error { runtime.Goexit(); return nil }), "did not return")
	require.ErrorContains(t, Veth(1500, Port{Name: "a name beyond all bounds"}, Port{Namespace: n, Name: "b"}), "a name beyond all bounds")
}

// A copy of this program finds itself alone, but for its children.
func TestAProcessIsIsolated(t *testing.T) {
	_ = namespace(t)
	if os.Getenv(isolated+"_COPY") != "" {
		require.NoError(t, Veth(1500, Port{Name: "one"}, Port{Name: "two"}))
		require.ElementsMatch(t, []string{"lo", "one", "two"}, names(t))
		child, err := exec.Command("cat", "/proc/self/net/dev").Output()
		require.NoError(t, err)
		require.Contains(t, string(child), "one:")
		return
	}
	copy := exec.Command("/proc/self/exe", "-test.run=^"+t.Name()+"$", "-test.v")
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, isolated) {
			copy.Env = append(copy.Env, v)
		}
	}
	copy.Env = append(copy.Env, isolated+"_COPY=1")
	out, err := copy.CombinedOutput()
	require.NoError(t, err, "%s", out)
	require.Contains(t, string(out), "--- PASS")
	require.NotContains(t, names(t), "one")
}

func prefixes(texts ...string) []netip.Prefix {
	var all []netip.Prefix
	for _, text := range texts {
		all = append(all, netip.MustParsePrefix(text))
	}
	return all
}
