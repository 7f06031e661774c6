package main

import (
	"io"
	"net/netip"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine"
	"github.com/peregrine-rpc/peregrine/cmd/peregrine/internal/raw"
)

// refused runs a command line that cannot work and returns the reason.
func refused(t *testing.T, line string) string {
	t.Helper()
	root := newRoot()
	root.SetArgs(strings.Fields(line))
	root.SetOut(io.Discard)
	root.SetErr(io.Discard)
	err := root.ExecuteContext(t.Context())
	require.Error(t, err, line)
	return err.Error()
}

func TestFlagsThatContradictEachOtherAreRefused(t *testing.T) {
	t.Parallel()
	for line, reason := range map[string]string{
		"perf 127.0.0.1:1 --mode fast":                 "--mode is rate, latency, upload or download",
		"perf 127.0.0.1:1 --raw --call":                "leave out --call",
		"perf 127.0.0.1:1 --raw --mode download":       "use --mode upload",
		"perf 127.0.0.1:1 --raw --sessions 2":          "leave out --sessions",
		"perf 127.0.0.1:1 --window 0":                  "--window is from 1 to 65536, not 0",
		"perf 127.0.0.1:1 --sessions 0":                "--sessions is from 1 to 65536, not 0",
		"perf 127.0.0.1:1 --duration 0s":               "--duration is from 1ns to 24h0m0s, not 0s",
		"perf 127.0.0.1:1 --size 4":                    "--size is at least 8",
		"perf 127.0.0.1:1 --size many":                 "is no size",
		"perf 127.0.0.1:1 --mode download --size 1GiB": "--size is from 0 to 268435456, not 1073741824",
		"perf 127.0.0.1":                               "is not host:port: write the server's address",
		"perf":                                         "ADDR is missing: give the server's address, such as",
		"ping 127.0.0.1:1 --count -1":                  "--count is from 0",
		"ping 127.0.0.1:1 --poll lazy":                 "use busy, adaptive or block",
		"ping 127.0.0.1:1 --fault loss=2":              "--fault: ",
		"demo --fault rain=1":                          "--fault: ",
		"serve --poll lazy":                            "use busy, adaptive or block",
		"serve --raw --poll lazy":                      "use busy, adaptive or block",
		"serve --raw --no-coalesce":                    "--no-coalesce has no meaning",
		"serve --raw --loops 2":                        "leave out --loops",
		"serve --raw --config x.yaml":                  "write it into the file",
		"serve --loops 0":                              "--loops is from 1 to 256, not 0",
		"serve udp://127.0.0.1:0 --config x.yaml":      "not both",
		"serve --config x.yaml --no-offload":           "write it into the file",
		"serve --loops 2 --cpu 0":                      "cpus: [...]",
		"serve --cpu 9999":                             "there is no CPU",
		"serve --config missing.yaml":                  "missing.yaml",
		"serve dpdk://net_vhost0":                      `key "ip": missing`,
		"serve carrier-pigeon://127.0.0.1:0":           "carrier-pigeon",
		"fly":                                          "there is no command",
	} {
		require.Contains(t, refused(t, line), reason, line)
	}
}

func TestSizesAreWrittenWithUnits(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]int{
		"32": 32, "32B": 32, "64KiB": 64 << 10, "64k": 64 << 10, "8 MiB": 8 << 20, "1g": 1 << 30, "0": 0,
	} {
		var size byteSize
		require.NoError(t, size.Set(text), text)
		require.EqualValues(t, want, size, text)
	}
	for _, text := range []string{"", "x", "-1", "1.5MiB", "MiB", "99999999999GiB"} {
		var size byteSize
		require.ErrorContains(t, size.Set(text), "is no size", text)
	}
}

func TestNoOffloadIsAddedToTheURL(t *testing.T) {
	t.Parallel()
	with := endpointFlags{noOffload: true}
	require.Equal(t, "udp://h:1?gro=false&segment=false", with.url("udp://h:1"))
	require.Equal(t, "udp://h:1?ecn=false&gro=false&segment=false", with.url("udp://h:1?ecn=false"))
	require.Equal(t, "udp://h:1", new(endpointFlags).url("udp://h:1"))
}

func TestPollIsHowLongARawLoopSpins(t *testing.T) {
	t.Parallel()
	require.Equal(t, raw.Forever, (&endpointFlags{poll: peregrine.Busy}).spin())
	require.Zero(t, (&endpointFlags{poll: peregrine.Block}).spin())
	require.Positive(t, (&endpointFlags{poll: peregrine.Adaptive}).spin())
}

func TestTheClientBindsWhereItCanReachTheServer(t *testing.T) {
	t.Parallel()
	for addr, want := range map[string]string{
		"127.0.0.1:31850":    "udp://127.0.0.1:0",
		"127.0.0.2:1":        "udp://127.0.0.2:0",
		"[::1]:1":            "udp://[::1]:0",
		"192.0.2.1:1":        "udp://0.0.0.0:0",
		"[2001:db8::1]:1":    "udp://[::]:0",
		"[::ffff:1.2.3.4]:1": "udp://0.0.0.0:0",
	} {
		got, err := resolveTarget(t.Context(), addr)
		require.NoError(t, err)
		require.Equal(t, want, got.clientURL(), addr)
		require.Equal(t, netip.MustParseAddrPort(addr).Addr().Unmap(), got.addr().Addr())
	}
	v4, v6 := netip.MustParseAddrPort("192.0.2.1:1"), netip.MustParseAddrPort("[2001:db8::1]:1")
	require.Equal(t, "udp://[::]:0", target{addrs: []netip.AddrPort{v4, v6}}.clientURL(), "a name of both families")
	require.Equal(t, "udp://0.0.0.0:0", target{addrs: []netip.AddrPort{v4, v4}}.clientURL())
}

func TestUnpinnedSidesAreMeasuredBetweenTwoCPUs(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ client, server, wantClient, wantServer int }{
		{-1, -1, 1, 0}, {0, -1, 0, 1}, {1, -1, 1, 0}, {-1, 0, 1, 0}, {-1, 3, 0, 3}, {2, 3, 2, 3},
	} {
		line := chooseCPUs(c.client, c.server)
		require.NotEqual(t, line.client, line.server)
		if c.client != unpinned || c.server != unpinned {
			require.Equal(t, c.wantClient, line.client, c)
			require.Equal(t, c.wantServer, line.server, c)
		}
	}
}
