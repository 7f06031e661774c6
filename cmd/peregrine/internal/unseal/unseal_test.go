package unseal_test

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"
	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine/cmd/peregrine/internal/unseal"
	"github.com/peregrine-rpc/peregrine/core/packet/seal"
	"github.com/peregrine-rpc/peregrine/wire"
)

// logged is a key log with the secrets of one connection.
func logged(t testing.TB, client, server []byte) *unseal.Log {
	t.Helper()
	log, err := unseal.ReadLog(strings.NewReader(fmt.Sprintf("CLIENT_TRAFFIC_SECRET_0 00 %x\nSERVER_TRAFFIC_SECRET_0 00 %x", client, server)))
	require.NoError(t, err)
	return log
}

// sealedData is a Data datagram with what it says after the header.
func sealedData(keys *seal.Keys, token uint32, number uint64, says string) []byte {
	b := make([]byte, wire.HeaderSize, 200)
	wire.PutLead(b, wire.Data, wire.FlagSealed, 0, 1, token, uint32(number))
	return keys.Seal(append(b, says...), number)
}

// Both directions are opened through updates of keys, out of order, and past what 32 bits count.
func TestDatagramsAreOpenedThroughUpdatesOfKeys(t *testing.T) {
	t.Parallel()
	for _, suite := range []seal.Suite{seal.AES128GCM, seal.AES256GCM, seal.ChaCha20Poly1305} {
		t.Run(suite.String(), func(t *testing.T) {
			t.Parallel()
			up, down := bytes.Repeat([]byte{1}, suite.SecretSize()), bytes.Repeat([]byte{2}, suite.SecretSize())
			client, err := seal.New(suite, true, up, down)
			require.NoError(t, err)
			server, err := seal.New(suite, false, down, up)
			require.NoError(t, err)
			client.UpdateAfter(4)
			opener := unseal.NewOpener(logged(t, up, down))
			requireOpened := func(datagram []byte, says string) {
				t.Helper()
				plain, ok := opener.Open(datagram)
				require.True(t, ok)
				require.Equal(t, says, string(plain[wire.HeaderSize:]))
				require.False(t, unseal.Sealed(plain))
			}
			phases := map[byte]int{}
			var overtaken []byte
			for i := range uint64(40) {
				number := uint64(1)<<32 - 20 + i
				request, reply := sealedData(client, 7, number, "request"), sealedData(server, 8, number, "reply")
				phases[request[2]&wire.FlagPhase]++
				_, ok := server.Open(make([]byte, 0, 200), request, number)
				require.True(t, ok)
				_, ok = client.Open(make([]byte, 0, 200), reply, number)
				require.True(t, ok)
				if i%5 == 1 {
					overtaken = request
					continue
				}
				requireOpened(request, "request")
				requireOpened(reply, "reply")
				if overtaken != nil {
					requireOpened(overtaken, "request")
					overtaken = nil
				}
			}
			require.Len(t, phases, 2, "keys were updated")
			damaged := sealedData(client, 7, 1<<32+40, "request")
			damaged[wire.HeaderSize]++
			_, ok := opener.Open(damaged)
			require.False(t, ok)
		})
	}
}

// recording is one by a network card, with Ethernet and VLAN headers and two sections, of a sealed datagram each.
func recording(t testing.TB, secret []byte) []byte {
	t.Helper()
	client, err := seal.New(seal.AES128GCM, true, secret, secret)
	require.NoError(t, err)
	var file bytes.Buffer
	for section := range uint64(2) {
		w, err := pcapgo.NewNgWriter(&file, layers.LinkTypeEthernet)
		require.NoError(t, err)
		buffer := gopacket.NewSerializeBuffer()
		ip := &layers.IPv6{Version: 6, NextHeader: layers.IPProtocolUDP, SrcIP: net.IPv6loopback, DstIP: net.IPv6loopback}
		udp := &layers.UDP{SrcPort: 1, DstPort: 2}
		require.NoError(t, udp.SetNetworkLayerForChecksum(ip))
		require.NoError(t, gopacket.SerializeLayers(buffer, gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true},
			&layers.Ethernet{SrcMAC: make([]byte, 6), DstMAC: make([]byte, 6), EthernetType: layers.EthernetTypeDot1Q},
			&layers.Dot1Q{VLANIdentifier: 5, Type: layers.EthernetTypeIPv6}, ip, udp,
			gopacket.Payload(sealedData(client, 7, section+1, "request"))))
		size := len(buffer.Bytes())
		require.NoError(t, w.WritePacket(gopacket.CaptureInfo{CaptureLength: size, Length: size}, buffer.Bytes()))
		require.NoError(t, w.Flush())
	}
	return file.Bytes()
}

func TestRecordingsByNetworkCardsAreOpened(t *testing.T) {
	t.Parallel()
	secret, other := bytes.Repeat([]byte{1}, 32), bytes.Repeat([]byte{2}, 32)
	var out bytes.Buffer
	count, err := unseal.Recording(&out, bytes.NewReader(recording(t, secret)), logged(t, other, secret))
	require.NoError(t, err)
	require.Equal(t, unseal.Counts{Packets: 2, Sealed: 2, Opened: 2}, count)
	r, err := pcapgo.NewNgReader(&out, pcapgo.DefaultNgReaderOptions)
	require.NoError(t, err)
	for range 2 {
		data, _, err := r.ReadPacketData()
		require.NoError(t, err)
		packet := gopacket.NewPacket(data, layers.LinkTypeEthernet, gopacket.Default)
		require.NotNil(t, packet.Layer(layers.LayerTypeDot1Q))
		payload := packet.Layer(layers.LayerTypeUDP).(*layers.UDP).Payload
		require.Equal(t, "request", string(payload[wire.HeaderSize:]))
	}
	require.Equal(t, 2, r.NInterfaces())
}

// FuzzReadLog reads key logs: what is one holds at least a secret, whatever else is in it.
func FuzzReadLog(f *testing.F) {
	f.Add(fmt.Sprintf("CLIENT_TRAFFIC_SECRET_0 00 %064x\n", 1))
	f.Add("# comment\nSERVER_TRAFFIC_SECRET_0 00 0")
	f.Fuzz(func(t *testing.T, text string) {
		log, err := unseal.ReadLog(strings.NewReader(text))
		require.Equal(t, err != nil, log == nil)
	})
}

// FuzzRecording reads recordings: whatever is in them, what is counted adds up.
func FuzzRecording(f *testing.F) {
	secret := bytes.Repeat([]byte{1}, 32)
	f.Add(recording(f, secret))
	f.Fuzz(func(t *testing.T, file []byte) {
		count, err := unseal.Recording(io.Discard, bytes.NewReader(file), logged(t, secret, secret))
		require.LessOrEqual(t, count.Opened+count.Cut, count.Sealed)
		require.True(t, err != nil || count.Sealed <= count.Packets)
	})
}
