package pcapng_test

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/peregrine-rpc/peregrine/transport"
	"github.com/peregrine-rpc/peregrine/transport/mem"
	"github.com/peregrine-rpc/peregrine/transport/pcapng"
	"github.com/peregrine-rpc/peregrine/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// pair is two transports that know each other, the first one recorded.
type pair struct {
	*pcapng.Recorder
	path      string
	near, far transport.Transport
	there     transport.Route
	back      transport.Route
}

func record(t *testing.T, o pcapng.Options) *pair {
	t.Helper()
	p := &pair{path: filepath.Join(t.TempDir(), "f.pcapng")}
	var err error
	p.Recorder, err = pcapng.Create(p.path, o)
	require.NoError(t, err)
	t.Cleanup(func() { _ = p.Recorder.Close() })
	p.near, p.far = mem.Pair()
	p.near = p.Decorate(0, p.near)
	p.there, err = p.near.Resolve(p.far.LocalAddr(), netip.Addr{})
	require.NoError(t, err)
	p.back, err = p.far.Resolve(p.near.LocalAddr(), netip.Addr{})
	require.NoError(t, err)
	return p
}

// call sends from near to far, or back.
func (p *pair) send(t *testing.T, back bool, datagram []byte) {
	t.Helper()
	from, to, route := p.near, p.far, p.there
	if back {
		from, to, route = p.far, p.near, p.back
	}
	tx := []transport.TxPacket{{Route: route, ECN: transport.ECT0}}
	require.Equal(t, 1, from.Reserve(tx))
	tx[0].Head = append(tx[0].Head[:0], datagram...)
	n, err := from.Send(tx)
	require.NoError(t, err)
	require.Equal(t, 1, n)
	rx := make([]transport.RxPacket, 1)
	n, err = to.Recv(rx)
	require.NoError(t, err)
	require.Equal(t, 1, n)
	to.Release(rx)
}

// end closes all, and returns what was recorded.
func (p *pair) end(t *testing.T) []packet {
	t.Helper()
	require.NoError(t, p.near.Close())
	require.NoError(t, p.far.Close())
	require.NoError(t, p.Recorder.Close())
	return read(t, p.path)
}

// heads are those of IPv6, which transports in memory have, and UDP.
const heads = 40 + 8

// packet is what a file says of one.
type packet struct {
	pcapgo.NgPacketOptions
	gopacket.CaptureInfo
	gopacket.Packet
}

func (p *packet) payload() string {
	udp := p.Packet.Layer(layers.LayerTypeUDP)
	if udp == nil {
		return "no UDP"
	}
	return string(udp.LayerPayload())
}

func read(t *testing.T, path string) (packets []packet) {
	t.Helper()
	file, err := os.Open(path)
	require.NoError(t, err)
	defer file.Close()
	r, err := pcapgo.NewNgReader(file, pcapgo.DefaultNgReaderOptions)
	require.NoError(t, err)
	for {
		data, info, options, err := r.ReadPacketDataWithOptions()
		if err != nil {
			require.EqualError(t, err, "EOF")
			return packets
		}
		packets = append(packets, packet{options, info, gopacket.NewPacket(data, layers.LinkTypeRaw, gopacket.Default)})
	}
}

func request(method, slot uint16, body string) []byte {
	return message(wire.Request, method, slot, body)
}

func message(kind wire.Kind, method, slot uint16, body string) []byte {
	b := make([]byte, 4096)
	n := (&wire.Header{Type: wire.Data, Connection: 1, Token: 2, Number: 3}).Put(b)
	m := wire.MessageHeader{Kind: kind, Slot: slot, Sequence: 1, Method: method}
	n += m.Put(b[n:], len(body))
	return b[:n+copy(b[n:], body)]
}

func TestADatagramIsWrittenAsThePacketThatCarriedIt(t *testing.T) {
	t.Parallel()
	p := record(t, pcapng.Options{})
	began := time.Now()
	p.send(t, false, request(1, 0, "hello"))
	p.send(t, true, message(wire.Response, 0, 0, "world"))
	near, far := p.near.LocalAddr(), p.far.LocalAddr()
	packets := p.end(t)
	require.Len(t, packets, 2)
	for i, want := range []struct {
		from, to  netip.AddrPort
		direction pcapgo.NgEpbFlag
		text      string
	}{{near, far, pcapgo.NgEpbFlagDirectionOutbound, "hello"}, {far, near, pcapgo.NgEpbFlagDirectionInbound, "world"}} {
		got := packets[i]
		flow := got.NetworkLayer().NetworkFlow()
		require.Equal(t, want.from.Addr().String(), flow.Src().String())
		require.Equal(t, want.to.Addr().String(), flow.Dst().String())
		udp := got.Packet.Layer(layers.LayerTypeUDP).(*layers.UDP)
		require.Equal(t, want.from.Port(), uint16(udp.SrcPort))
		require.Equal(t, want.to.Port(), uint16(udp.DstPort))
		require.Contains(t, got.payload(), want.text)
		require.Equal(t, want.direction, got.Flags.Direction)
		require.Empty(t, got.Comments)
		require.Equal(t, got.Length, got.CaptureLength)
		require.WithinRange(t, got.Timestamp, began, time.Now())
		require.Nil(t, got.ErrorLayer())
		require.NoError(t, udp.SetNetworkLayerForChecksum(got.NetworkLayer()))
		valid, mismatches := got.Packet.VerifyChecksums()
		require.NoError(t, valid)
		require.Empty(t, mismatches)
	}
	require.Equal(t, pcapng.Counts{Written: 2}, p.Counts())
}

func TestARecordingIsCutAndCounted(t *testing.T) {
	t.Parallel()
	p := record(t, pcapng.Options{Snap: 32, Every: 2})
	for i := range 6 {
		p.send(t, false, request(1, uint16(i), "hello"))
	}
	packets := p.end(t)
	require.Len(t, packets, 3)
	require.Equal(t, heads+32, packets[0].CaptureLength)
	require.Equal(t, heads+37, packets[0].Length)
}

func TestAFullBufferIsTold(t *testing.T) {
	t.Parallel()
	p := record(t, pcapng.Options{Buffer: 1 << 12})
	const sent = 20000
	for i := range sent {
		p.send(t, false, request(1, uint16(i), "hello"))
	}
	packets := p.end(t)
	counts := p.Counts()
	require.Equal(t, uint64(sent), counts.Written+counts.Missed)
	require.Len(t, packets, int(counts.Written))
	var dropped uint64
	for _, got := range packets {
		if got.DropCount != nil {
			require.Contains(t, got.Comments[0], fmt.Sprintf("%d before this were not captured", *got.DropCount))
			dropped += *got.DropCount
		}
	}
	require.LessOrEqual(t, dropped, counts.Missed, "the last may be followed by some")
}

func TestTheNewestFilesAreKept(t *testing.T) {
	t.Parallel()
	p := record(t, pcapng.Options{FileSize: 4096, Files: 3})
	for i := range 1000 {
		p.send(t, false, request(1, uint16(i), fmt.Sprintf("call %03d.", i)))
	}
	require.NoError(t, p.near.Close())
	require.NoError(t, p.far.Close())
	require.NoError(t, p.Recorder.Close())
	names, err := filepath.Glob(filepath.Join(filepath.Dir(p.path), "*"))
	require.NoError(t, err)
	require.Len(t, names, 3)
	i := 1000
	for k := len(names) - 1; k >= 0; k-- {
		info, err := os.Stat(names[k])
		require.NoError(t, err)
		require.Less(t, info.Size(), int64(6000))
		packets := read(t, names[k])
		require.NotEmpty(t, packets)
		for j := len(packets) - 1; j >= 0; j-- {
			i--
			require.Contains(t, packets[j].payload(), fmt.Sprintf("call %03d.", i), "no gap between files")
		}
	}
}

func TestMethodsAndPeersAreChosen(t *testing.T) {
	t.Parallel()
	p := record(t, pcapng.Options{Methods: []uint16{7}, Snap: 60})
	p.send(t, false, request(7, 0, "wanted"))
	p.send(t, false, request(8, 1, "other"))
	p.send(t, true, message(wire.Response, 0, 1, "other"))
	p.send(t, true, message(wire.Response, 0, 0, string(make([]byte, 200))))
	p.send(t, true, request(7, 0, "called from there"))
	hello := make([]byte, wire.MinHello)
	(&wire.Header{Type: wire.Hello}).Put(hello)
	p.send(t, false, hello)
	ack := make([]byte, 100)
	p.send(t, false, ack[:(&wire.Header{Type: wire.Ack}).Put(ack)])
	packets := p.end(t)
	require.Len(t, packets, 4)
	require.Contains(t, packets[0].payload(), "wanted")
	require.Equal(t, heads+60, packets[1].CaptureLength, "of which the response is known by its head")
	require.Contains(t, packets[2].payload(), "called from there")
	require.Equal(t, uint64(3), p.Counts().Filtered)

	p = record(t, pcapng.Options{Peers: []netip.AddrPort{netip.MustParseAddrPort("10.9.9.9:0")}})
	p.send(t, false, request(7, 0, "to another"))
	p.send(t, true, message(wire.Response, 0, 0, ""))
	require.Empty(t, p.end(t))

	near, far := mem.Pair()
	path := filepath.Join(t.TempDir(), "f.pcapng")
	r, err := pcapng.Create(path, pcapng.Options{Peers: []netip.AddrPort{netip.AddrPortFrom(far.LocalAddr().Addr(), 0)}})
	require.NoError(t, err)
	q := &pair{Recorder: r, path: path, near: r.Decorate(0, near), far: far}
	q.there, err = q.near.Resolve(far.LocalAddr(), netip.Addr{})
	require.NoError(t, err)
	q.send(t, false, request(7, 0, "to it"))
	require.Len(t, q.end(t), 1)
}

func TestWhatAReceiverDropsIsSaid(t *testing.T) {
	t.Parallel()
	p := record(t, pcapng.Options{})
	damaged := make([]byte, 100)
	n := (&wire.Header{Type: wire.Ack, Flags: wire.FlagChecksum}).Put(damaged)
	wire.Seal(damaged[:n], nil)
	damaged[4]++
	p.send(t, false, damaged[:n])
	p.send(t, false, []byte("not ours, but long enough"))
	packets := p.end(t)
	require.Equal(t, []string{"dropped by its receiver: wire: checksum mismatch"}, packets[0].Comments)
	require.Equal(t, []string{"dropped by its receiver: wire: not a Peregrine datagram"}, packets[1].Comments)
}

func TestWhatTheTransportDropsIsSaid(t *testing.T) {
	t.Parallel()
	near, far := mem.Pair(mem.MaxPayload(1200))
	defer far.Close()
	path := filepath.Join(t.TempDir(), "f.pcapng")
	r, err := pcapng.Create(path, pcapng.Options{})
	require.NoError(t, err)
	tr := r.Decorate(0, &dropping{near})
	route, err := tr.Resolve(far.LocalAddr(), netip.Addr{})
	require.NoError(t, err)
	tx := []transport.TxPacket{{Route: route}}
	require.Equal(t, 1, tr.Reserve(tx))
	tx[0].Head = tx[0].Head[:20]
	_, err = tr.Send(tx)
	require.NoError(t, err)
	require.NoError(t, tr.Close())
	require.NoError(t, r.Close())
	require.Equal(t, "dropped by the transport, up to here: 1 (TxUnresolved: neighbour not known yet)", read(t, path)[0].Comments[0])
}

// dropping says that it knows no neighbour.
type dropping struct{ transport.Transport }

func (d *dropping) Stats() transport.Stats {
	s := d.Transport.Stats()
	s.TxUnresolved = s.TxPackets
	return s
}

// Who does not get as far as opening a transport loses no earlier recording; who does begins anew.
func TestAnEarlierRecordingStaysUntilThereIsAnother(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "f.pcapng")
	earlier := make([]byte, 100_000)
	require.NoError(t, os.WriteFile(path, earlier, 0o600))
	r, err := pcapng.Create(path, pcapng.Options{})
	require.NoError(t, err)
	require.NoError(t, r.Close())
	kept, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, earlier, kept)

	r, err = pcapng.Create(path, pcapng.Options{})
	require.NoError(t, err)
	near, far := mem.Pair()
	require.NoError(t, r.Decorate(0, near).Close())
	require.NoError(t, far.Close())
	require.NoError(t, r.Close())
	require.Empty(t, read(t, path))
}

func TestAFileThatCannotBeWrittenIsAnError(t *testing.T) {
	t.Parallel()
	_, err := pcapng.Create(filepath.Join(t.TempDir(), "no", "folder"), pcapng.Options{})
	require.ErrorContains(t, err, "cannot record")
	if _, err := os.Stat("/dev/full"); err != nil {
		t.Skip("no /dev/full")
	}
	r, err := pcapng.Create("/dev/full", pcapng.Options{})
	require.NoError(t, err)
	near, far := mem.Pair()
	tr := r.Decorate(0, near)
	require.NoError(t, tr.Close())
	require.NoError(t, far.Close())
	require.Error(t, r.Close())
	require.Error(t, r.Close(), "which says so again")
}

func FuzzWhateverIsCapturedIsWritten(f *testing.F) {
	f.Add(request(7, 0, "hello"), uint8(10))
	f.Add([]byte{0xF7, 0x10}, uint8(0))
	f.Fuzz(func(t *testing.T, datagram []byte, snap uint8) {
		if len(datagram) > 8972 {
			return
		}
		p := record(t, pcapng.Options{Snap: int(snap), Methods: []uint16{7}})
		p.send(t, false, datagram)
		p.send(t, true, datagram)
		packets := p.end(t)
		require.Equal(t, uint64(2), p.Counts().Written+p.Counts().Filtered)
		for _, got := range packets {
			require.Equal(t, string(datagram[:got.CaptureLength-heads]), got.payload())
		}
	})
}
