//go:build dpdk

package main

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// vhost starts a server on a vhost device and returns the URL for the other end.
func vhost(t *testing.T, args ...string) (s *running, url string) {
	t.Helper()
	return vhostBy(t, "serve", args...)
}

// vhostBy does so with another command that serves.
func vhostBy(t *testing.T, command string, args ...string) (s *running, url string) {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "vhost")
	server := "dpdk://net_vhost0,iface=" + socket + "?ip=10.9.0.1/24&port=31850&hugepages=off&memory=128"
	return serveWith(t, append([]string{command, server, "--plain", "--until-eof"}, args...)...),
		"dpdk://net_virtio_user0,path=" + socket + ",packed_vq=1?ip=10.9.0.2/24&hugepages=off&memory=128"
}

func TestAServerIsMeasuredOverDPDK(t *testing.T) {
	t.Parallel()
	s, url := vhost(t)
	require.Equal(t, "10.9.0.1:31850", s.addr)
	for _, args := range [][]string{
		{},
		{"--mode", "latency", "--poll", "busy"},
		{"--mode", "upload", "--size", "1MiB"},
		{"--sessions", "12", "--window", "96", "--no-coalesce"},
	} {
		result := perf(t, s.addr, append(args, "--transport", url)...)
		require.Equal(t, "dpdk", result["parameters"].(map[string]any)["backend"])
	}
	require.Contains(t, s.terminate(t), "served")
}

// The device is the process's own: nothing else sees its datagrams.
func TestAServerRecordsWhatItsClientsAskOverDPDK(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "f.pcapng")
	s, url := vhostBy(t, "capture", "-w", path, "--snap", "128")
	require.Positive(t, perf(t, s.addr, "--mode", "latency", "--transport", url)["calls"])
	require.Contains(t, s.end(t), "recorded ")
	require.Positive(t, recordedIn(t, path))
}

func TestRawDatagramsAreMeasuredOverDPDK(t *testing.T) {
	t.Parallel()
	s, url := vhost(t, "--raw")
	perf(t, s.addr, "--raw", "--transport", url)
	perf(t, s.addr, "--raw", "--mode", "upload", "--transport", url)
	require.Contains(t, s.end(t), "echoed")
}

// The device has one address, and each client a port of it.
func TestARelayReachesAServerOverDPDK(t *testing.T) {
	t.Parallel()
	s, url := vhost(t)
	r := relayed(t, s.addr, "--transport", url, "--until-eof")
	for range 2 {
		perf(t, r.addr)
		perf(t, r.addr, "--mode", "upload", "--size", "1MiB")
	}
	said := r.end(t)
	require.Contains(t, said, "over dpdk")
	require.Contains(t, said, "copied once; 8 flows opened")
	s.end(t)
}

// The checker speaks to the kernel, and a relay from there to the device.
func TestOurServerConformsOverDPDK(t *testing.T) {
	t.Parallel()
	s, url := vhost(t)
	r := relayed(t, s.addr, "--transport", url, "--until-eof")
	conforms(t, r.addr)
	r.end(t)
	s.end(t)
}

func TestNobodyAtTheOtherEndOfADPDKDeviceIsAnErrorThatSaysWhatToDo(t *testing.T) {
	t.Parallel()
	s, url := vhost(t)
	_, stderr, err := output(t, "perf", "10.9.0.3:31850", "--transport", url)
	require.Error(t, err)
	require.Contains(t, stderr, "peregrine serve dpdk://")
	s.end(t)
}

func TestDoctorMeasuresDPDK(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "doctor.json")
	stdout, stderr, err := output(t, "doctor", "dpdk://net_vhost0,iface=/run/p.sock?ip=10.9.0.1/24", "--measure", "--duration", "500ms", "--json", path)
	require.NoError(t, err, "%s%s", stdout, stderr)
	measured := readJSON(t, path)["facts"].(map[string]any)["measured"].(map[string]any)
	floor := measured["floors"].([]any)[0].(map[string]any)
	require.Equal(t, "dpdk", floor["backend"])
	require.NotContains(t, floor, "error")
	require.Positive(t, floor["raw_p50_us"])
	require.Positive(t, floor["rate"])
}
