package unseal

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"
)

// Counts is what was found in a recording.
type Counts struct {
	Packets int
	Sealed  int // datagrams
	Opened  int // of them
	Cut     int // of them, which the recording does not hold whole
}

// String says how much was opened.
func (c Counts) String() string {
	text := fmt.Sprintf("opened %d of %d sealed datagrams", c.Opened, c.Sealed)
	if c.Cut > 0 {
		text += fmt.Sprintf(", %d of which were cut short when they were recorded", c.Cut)
	}
	return text
}

// Recording copies a pcapng file, with what is sealed in it opened, as far as log has the
// secrets. Times, interfaces, comments and all else stay. It uses log up.
func Recording(w io.Writer, r io.Reader, log *Log) (count Counts, err error) {
	c := copier{opener: NewOpener(log), to: w, buffer: gopacket.NewSerializeBuffer()}
	c.from, err = pcapgo.NewNgReader(r, pcapgo.NgReaderOptions{
		WantMixedLinkType: true, SkipUnknownVersion: true,
		SectionEndCallback: func([]pcapgo.NgInterface, pcapgo.NgSectionInfo) { c.before = c.known },
	})
	if err != nil {
		return count, fmt.Errorf("this is no pcapng file (editcap -F pcapng makes one of others): %w", err)
	}
	for {
		data, info, options, err := c.from.ReadPacketDataWithOptions()
		if err == io.EOF {
			break
		}
		if err == nil {
			err = c.packet(data, info, options)
		}
		if err != nil {
			return c.count, fmt.Errorf("packet %d: %w", c.count.Packets+1, err)
		}
	}
	if c.writer == nil {
		return c.count, errors.New("it holds no packet")
	}
	return c.count, c.writer.Flush()
}

// copier copies a recording.
type copier struct {
	opener *Opener
	from   *pcapgo.NgReader
	to     io.Writer
	writer *pcapgo.NgWriter // nil before the first packet
	known  int              // interfaces of writer
	before int              // those of earlier sections
	buffer gopacket.SerializeBuffer
	count  Counts
}

func (c *copier) packet(data []byte, info gopacket.CaptureInfo, options pcapgo.NgPacketOptions) error {
	about, err := c.from.Interface(info.InterfaceIndex)
	if err != nil {
		return err
	}
	for c.known <= c.before+info.InterfaceIndex {
		if err := c.introduce(); err != nil {
			return err
		}
	}
	info.InterfaceIndex += c.before
	if opened, ok := c.open(data, about.LinkType, info.Length > info.CaptureLength); ok {
		data, info.CaptureLength, info.Length = opened, len(opened), len(opened)
		options.Hashes = nil // they were of what it was
	}
	c.count.Packets++
	info.Length = max(info.Length, info.CaptureLength)
	return c.writer.WritePacketWithOptions(info, data, options)
}

// introduce describes the next interface.
func (c *copier) introduce() error {
	about, err := c.from.Interface(c.known - c.before)
	if err != nil {
		return err
	}
	about.TimestampOffset = 0 // it is in the times that are read
	if c.writer == nil {
		c.writer, err = pcapgo.NewNgWriterInterface(c.to, about, pcapgo.NgWriterOptions{SectionInfo: c.from.SectionInfo()})
	} else {
		_, err = c.writer.AddInterface(about)
	}
	c.known++
	return err
}

// network is a layer of IP.
type network interface {
	gopacket.NetworkLayer
	gopacket.SerializableLayer
}

// open returns the packet with its datagram opened; false: it stays as it is.
func (c *copier) open(data []byte, link layers.LinkType, cut bool) ([]byte, bool) {
	packet := gopacket.NewPacket(data, link, gopacket.DecodeOptions{Lazy: true, NoCopy: true})
	udp, _ := packet.Layer(layers.LayerTypeUDP).(*layers.UDP)
	if udp == nil || !Sealed(udp.Payload) {
		return nil, false
	}
	c.count.Sealed++
	if cut {
		c.count.Cut++
		return nil, false
	}
	all := packet.Layers()
	at := slices.Index(all, gopacket.Layer(udp)) - 1
	if at < 0 {
		return nil, false
	}
	ip, _ := all[at].(network)
	begin := 0 // where ip does
	for _, l := range all[:at] {
		begin += len(l.LayerContents())
	}
	plain, ok := c.opener.Open(udp.Payload)
	if ip == nil || !ok {
		return nil, false
	}
	_ = udp.SetNetworkLayerForChecksum(ip) // it takes both kinds
	_ = c.buffer.Clear()
	options := gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}
	if err := gopacket.SerializeLayers(c.buffer, options, ip, udp, gopacket.Payload(plain)); err != nil {
		return nil, false
	}
	c.count.Opened++
	return append(bytes.Clone(data[:begin]), c.buffer.Bytes()...), true
}
