package xsk

import "encoding/binary"

// The sizes of a frame. Larger ones than a page the kernel takes only of
// hugepages.
const (
	SmallFrame = 2048
	LargeFrame = 4096
	// Reserve is what the kernel keeps free in front of a received packet.
	Reserve = 256
	// Metadata is how many bytes in front of a packet to be sent say what the device
	// is to do with it, where [Umem.OffloadChecksums] was called (struct
	// xsk_tx_metadata).
	Metadata = 24
)

// Umem is memory for packets, shared with the kernel. Several sockets, of several
// queues and devices, may use it at once.
type Umem struct {
	bytes     []byte
	frameSize int
	flags     uint32 // of its registration
}

// OffloadChecksums has packets carry metadata, so that devices complete their
// checksums; to be called before the first socket. software has the kernel do it as
// it copies a packet, instead of a device. [CanOffloadChecksums] says whether the
// kernel knows of it.
func (u *Umem) OffloadChecksums(software bool) {
	u.flags = metadataLength
	if software {
		u.flags |= softwareChecksums
	}
}

// What the kernel calls XDP_UMEM_TX_METADATA_LEN, XDP_UMEM_TX_SW_CSUM,
// XDP_TXMD_FLAGS_CHECKSUM and XDP_TX_METADATA.
const (
	softwareChecksums = 1 << 1
	metadataLength    = 1 << 2
	checksumRequest   = 1 << 1
	hasMetadata       = 1 << 1
)

// RequestChecksum has the device complete the checksum of a packet to be sent, whose
// field holds the sum of what is not in the packet: start is where what is summed
// begins, and offset where from there the field is.
func (u *Umem) RequestChecksum(d *Desc, start, offset int) {
	b := u.Bytes(d.Addr-Metadata, Metadata)
	binary.NativeEndian.PutUint64(b, checksumRequest)
	binary.NativeEndian.PutUint16(b[8:], uint16(start))
	binary.NativeEndian.PutUint16(b[10:], uint16(offset))
	d.Options |= hasMetadata
}

// Bytes views n bytes from an address on. Nothing lies behind them.
func (u *Umem) Bytes(addr uint64, n int) []byte { return u.bytes[addr:][:n:n] }

// FrameSize is the size of a frame in bytes, a power of two.
func (u *Umem) FrameSize() int { return u.frameSize }
