package dissector_test

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine/cmd/peregrine/internal/dissector"
)

var (
	client = netip.MustParseAddrPort("10.0.0.1:40000")
	server = netip.MustParseAddrPort("10.0.0.2:31850")
)

// capture is a file of packets, as a network card would have seen them.
type capture struct {
	bytes.Buffer
	at time.Duration
}

func newCapture() *capture {
	c := &capture{}
	// pcap with times in nanoseconds, of packets that begin with their IP header.
	for _, word := range []uint32{0xA1B23C4D, 4<<16 | 2, 0, 0, 65535, 101} {
		_ = binary.Write(c, binary.LittleEndian, word)
	}
	return c
}

// add is one datagram, a microsecond after the one before.
func (c *capture) add(from, to netip.AddrPort, data []byte) { c.addCut(from, to, data, len(data)) }

// addCut has the first bytes of it only.
func (c *capture) addCut(from, to netip.AddrPort, data []byte, first int) {
	c.at += time.Microsecond
	size := uint32(20 + 8 + len(data))
	for _, word := range []uint32{uint32(c.at / time.Second), uint32(c.at % time.Second), uint32(20 + 8 + first), size} {
		_ = binary.Write(c, binary.LittleEndian, word)
	}
	ip := []byte{0x45, 0, byte(size >> 8), byte(size), 0, 0, 0x40, 0, 64, 17, 0, 0}
	ip = append(append(ip, from.Addr().AsSlice()...), to.Addr().AsSlice()...)
	sum := uint32(0)
	for i := 0; i < len(ip); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(ip[i:]))
	}
	binary.BigEndian.PutUint16(ip[10:], ^uint16(sum+sum>>16))
	c.Write(ip)
	udp := binary.BigEndian.AppendUint16(nil, from.Port())
	udp = binary.BigEndian.AppendUint16(udp, to.Port())
	udp = binary.BigEndian.AppendUint16(udp, uint16(8+len(data)))
	c.Write(append(udp, 0, 0)) // no checksum
	c.Write(data[:first])
}

// dissect has tshark print fields, of each packet a line: values by field, in order.
func (c *capture) dissect(t *testing.T, fields ...string) []map[string][]string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "capture.pcap")
	require.NoError(t, os.WriteFile(file, c.Bytes(), 0o600))
	return dissect(t, file, fields...)
}

// dissect is that of a file.
func dissect(t *testing.T, file string, fields ...string) []map[string][]string {
	t.Helper()
	tshark, err := exec.LookPath("tshark")
	if err != nil {
		t.Skip("tshark is not installed: apt-get install tshark")
	}
	dir := t.TempDir()
	script, err := dissector.Install(dir)
	require.NoError(t, err)
	args := []string{"-2", "-X", "lua_script:" + script, "-r", file, "-T", "fields", "-E", "separator=/t", "-E", "aggregator=;"}
	for _, field := range fields {
		args = append(args, "-e", field)
	}
	cmd := exec.Command(tshark, args...)
	cmd.Env = append(os.Environ(), "HOME="+dir) // without the plugins of whoever tests
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	require.NoError(t, err, stderr.String())
	require.NotContains(t, stderr.String(), "Lua", "the script fails")
	var packets []map[string][]string
	for line := range strings.Lines(string(out)) {
		values := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		require.Len(t, values, len(fields))
		packet := map[string][]string{}
		for i, v := range values {
			if v != "" {
				packet[fields[i]] = strings.Split(v, ";")
			}
		}
		packets = append(packets, packet)
	}
	return packets
}
