package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"
	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine/internal/testcert"
	"github.com/peregrine-rpc/peregrine/wire"
)

// recordSealed has calls made over TLS, recorded, and their secrets logged.
func recordSealed(t *testing.T, folder string, snap int) (capture, keys string) {
	t.Helper()
	authority := testcert.New("authority")
	write := func(name string, text []byte) string {
		path := filepath.Join(folder, name)
		require.NoError(t, os.WriteFile(path, text, 0o600))
		return path
	}
	cert, key := testcert.PEM(authority.Issue("localhost"))
	certPath, keyPath, ca := write("cert.pem", cert), write("key.pem", key), write("ca.pem", authority.PEM())
	capture, keys = filepath.Join(folder, "f.pcapng"), filepath.Join(folder, "keys.log")
	cmd := program(t, "capture", "udp://127.0.0.1:0", "--tls-cert", certPath, "--tls-key", keyPath, "-w", capture,
		"--snap", fmt.Sprint(snap), "--until-eof", "--patience", "1m")
	cmd.Env = append(cmd.Env, keyLogVariable+"="+keys)
	s := serveBy(t, cmd, func(start func() error) error { return start() })
	perf(t, s.addr, "--tls-ca", ca, "--window", "1")
	require.Contains(t, s.end(t), "recorded ")
	return capture, keys
}

// packetsOf are the datagrams of a recording, and what it says of each.
func packetsOf(t *testing.T, path string) (datagrams [][]byte, about []string) {
	t.Helper()
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	r, err := pcapgo.NewNgReader(bytes.NewReader(text), pcapgo.DefaultNgReaderOptions)
	require.NoError(t, err)
	for {
		data, info, options, err := r.ReadPacketDataWithOptions()
		if err != nil {
			require.EqualError(t, err, "EOF")
			return datagrams, about
		}
		packet := gopacket.NewPacket(data, layers.LinkTypeRaw, gopacket.Default)
		udp := packet.Layer(layers.LayerTypeUDP).(*layers.UDP)
		if info.Length == info.CaptureLength {
			require.NoError(t, udp.SetNetworkLayerForChecksum(packet.NetworkLayer()))
			err, wrong := packet.VerifyChecksums()
			require.NoError(t, err)
			require.Empty(t, wrong)
		}
		datagrams = append(datagrams, bytes.Clone(udp.Payload))
		about = append(about, fmt.Sprint(info.Timestamp.UnixNano(), info.InterfaceIndex, udp.SrcPort, udp.DstPort, options.Comments, options.Flags.Direction))
	}
}

// What was sealed is read with the secrets that were logged, as if it had been plain.
func TestWhatWasSealedIsReadWithTheKeyLog(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	capture, keys := recordSealed(t, folder, 0)
	plain := filepath.Join(folder, "plain.pcapng")
	told, stderr, err := output(t, "unseal", capture, "--keys", keys, "-w", plain)
	require.NoError(t, err, stderr)

	before, aboutBefore := packetsOf(t, capture)
	after, aboutAfter := packetsOf(t, plain)
	require.Equal(t, aboutBefore, aboutAfter, "times, addresses and comments stay")
	sealed, requests, responses := 0, 0, 0
	var h wire.Header
	for i, d := range after {
		if _, err := h.Parse(before[i]); err == nil && h.Flags&wire.FlagSealed != 0 {
			sealed++
		} else {
			require.Equal(t, before[i], d, "what was plain stays as it is")
		}
		rest, err := h.Parse(d)
		require.NoError(t, err)
		require.Zero(t, h.Flags&wire.FlagSealed)
		if h.Flags&wire.FlagChecksum != 0 {
			require.NoError(t, wire.Verify(d))
		}
		for m := (wire.Message{}); h.Type == wire.Data && len(rest) > 0; {
			rest, err = m.Parse(rest)
			require.NoError(t, err)
			switch m.Kind {
			case wire.Request:
				requests++
			case wire.Response:
				responses++
			}
		}
	}
	require.Equal(t, fmt.Sprintf("opened %d of %d sealed datagrams\n", sealed, sealed), told)
	require.Positive(t, requests)
	require.Positive(t, responses)
	info, err := os.Stat(plain)
	require.NoError(t, err)
	require.Zero(t, info.Mode().Perm()&0o077, "nobody else reads it")
}

func TestASealedCaptureStaysSealedWithoutItsSecrets(t *testing.T) {
	t.Parallel()
	folder, cut := t.TempDir(), filepath.Join(t.TempDir(), "cut")
	require.NoError(t, os.Mkdir(cut, 0o700))
	capture, keys := recordSealed(t, folder, 0)
	short, shortKeys := recordSealed(t, cut, 20)
	empty := filepath.Join(folder, "empty.log")
	require.NoError(t, os.WriteFile(empty, []byte("# nothing\nCLIENT_RANDOM 00 00\n"), 0o600))
	out := filepath.Join(folder, "plain.pcapng")
	for _, line := range []struct {
		args []string
		said string
	}{
		{[]string{capture, "--keys", shortKeys, "-w", out}, "opened 0 of "},
		{[]string{short, "--keys", shortKeys, "-w", out}, "cut short"},
		{[]string{capture, "--keys", empty, "-w", out}, "holds no secret of TLS 1.3"},
		{[]string{keys, "--keys", keys, "-w", out}, "no pcapng file"},
		{[]string{capture, "--keys", keys, "-w", capture}, "exists"},
		{[]string{capture, "--keys", keys}, "-w"},
		{[]string{capture, "-w", out}, "--keys"},
	} {
		_, stderr, err := output(t, append([]string{"unseal"}, line.args...)...)
		require.Error(t, err)
		require.Contains(t, stderr, line.said, strings.Join(line.args, " "))
		require.NoFileExists(t, out)
	}
}
