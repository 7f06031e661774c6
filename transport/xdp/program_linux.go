package xdp

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"golang.org/x/sys/unix"
)

// filter says which packets are ours.
type filter struct {
	addrs []netip.Addr // of this host
	port  uint16
	vlan  uint16 // 0: untagged
	// whole says that datagrams are ours only with a whole checksum.
	whole bool
}

// The program, as it would be in C. It runs for every packet that the device
// receives, before the kernel has made anything of it; what is not surely ours it
// passes on to the kernel.
//
//	int peregrine(struct xdp_md *ctx)
//	{
//		u8 *p = ctx->data, *end = ctx->data_end;
//
//		if (p + 14 > end) return XDP_PASS;
//		u16 type = *(u16 *)(p + 12);
//		if (type == htons(0x8100)) {                       // a VLAN tag
//			if (p + 18 > end) return XDP_PASS;
//			if ((*(u16 *)(p + 14) & htons(0xfff)) != htons(VLAN)) return XDP_PASS;
//			p += 4;
//			type = *(u16 *)(p + 12);
//		}
//		if (type == htons(0x0800)) {                       // IPv4
//			if (p + 42 > end) return XDP_PASS;
//			if (p[14] != 0x45) return XDP_PASS;              // no options
//			if (*(u16 *)(p + 20) & htons(0x3fff)) return XDP_PASS; // no fragment
//			if (p[23] != 17) return XDP_PASS;                // UDP
//			if (*(u32 *)(p + 30) is none of our addresses) return XDP_PASS;
//			u16 port = *(u16 *)(p + 36);
//		} else if (type == htons(0x86dd)) {                // IPv6
//			if (p + 62 > end) return XDP_PASS;
//			if (p[20] != 17) return XDP_PASS;                // UDP, without extensions
//			if (p[38..54] is none of our addresses) return XDP_PASS;
//			u16 port = *(u16 *)(p + 56);
//		} else return XDP_PASS;
//
//		if (port != htons(PORT)) {                         // one that a connection of ours began from?
//			u32 word = ntohs(port) >> 6;
//			u64 *bits = bpf_map_lookup_elem(&ports, &word);
//			if (!bits || !(*bits >> (ntohs(port) & 63) & 1)) return XDP_PASS;
//		}
//		if (WHOLE && the UDP checksum is that of the pseudo-header alone) {
//			__sync_fetch_and_add(&passed[0], 1);
//			return XDP_PASS;                                 // unfinished: see passUnfinished
//		}
//		return bpf_redirect_map(&sockets, ctx->rx_queue_index, XDP_PASS); // PASS: if none is there
//	}
//
// A VLAN's frame may come without its tag, which a device or the sending kernel
// keeps beside it. So untagged frames are looked at on a VLAN too: the address
// tells whose they are.
func (f filter) instructions(ours asm.Instructions) asm.Instructions {
	const (
		ctx, p, end, kind = asm.R6, asm.R2, asm.R3, asm.R5
		header, version   = asm.R8, asm.R9         // p and kind, for what comes after a call
		port, x, y        = asm.R5, asm.R4, asm.R1 // kind is done with when there is a port
		pass, found       = "pass", "found"
	)
	within := func(n int32) asm.Instructions { // if (p + n > end) pass
		return asm.Instructions{
			asm.Mov.Reg(x, p),
			asm.Add.Imm(x, n),
			asm.JGT.Reg(x, end, pass),
		}
	}
	is := func(at int16, value int32) asm.Instructions { // if (p[at] != value) pass
		return asm.Instructions{
			asm.LoadMem(x, p, at, asm.Byte),
			asm.JNE.Imm(x, value, pass),
		}
	}
	var b asm.Instructions
	add := func(more ...asm.Instruction) { b = append(b, more...) }

	add(
		asm.Mov.Reg(ctx, asm.R1),
		asm.LoadMem(p, ctx, 0, asm.Word),   // data
		asm.LoadMem(end, ctx, 4, asm.Word), // data_end
	)
	add(within(14)...)
	add(
		asm.LoadMem(kind, p, 12, asm.Half),
		asm.JNE.Imm(kind, wire16(0x8100), "network"),
	)
	add(within(18)...)
	add(
		asm.LoadMem(x, p, 14, asm.Half),
		asm.And.Imm(x, wire16(0xfff)),
		asm.JNE.Imm(x, wire16(f.vlan), pass),
		asm.Add.Imm(p, 4),
		asm.LoadMem(kind, p, 12, asm.Half),
	)
	add(
		asm.Mov.Reg(header, p).WithSymbol("network"),
		asm.Mov.Reg(version, kind),
		asm.JNE.Imm(kind, wire16(0x0800), "v6"),
	)
	add(within(42)...)
	add(is(14, 0x45)...)
	add(
		asm.LoadMem(x, p, 20, asm.Half),
		asm.And.Imm(x, wire16(0x3fff)),
		asm.JNE.Imm(x, 0, pass),
	)
	add(is(23, 17)...)
	add(
		asm.LoadMem(port, p, 36, asm.Half),
		asm.LoadMem(x, p, 30, asm.Word),
	)
	for _, a := range f.addrs {
		if a.Is4() {
			b4 := a.As4()
			add(asm.JEq.Imm32(x, int32(binary.NativeEndian.Uint32(b4[:])), found))
		}
	}
	add(
		asm.Ja.Label(pass),
		asm.JNE.Imm(kind, wire16(0x86dd), pass).WithSymbol("v6"),
	)
	add(within(62)...)
	add(is(20, 17)...)
	add(asm.LoadMem(port, p, 56, asm.Half))
	for i, a := range f.addrs {
		if a.Is6() {
			b6, other := a.As16(), fmt.Sprintf("other%d", i)
			add(
				asm.LoadMem(x, p, 38, asm.DWord),
				asm.LoadImm(y, int64(binary.NativeEndian.Uint64(b6[:])), asm.DWord),
				asm.JNE.Reg(x, y, other),
				asm.LoadMem(x, p, 46, asm.DWord),
				asm.LoadImm(y, int64(binary.NativeEndian.Uint64(b6[8:])), asm.DWord),
				asm.JEq.Reg(x, y, found),
				asm.Mov.Reg(x, x).WithSymbol(other),
			)
		}
	}
	add(
		asm.Ja.Label(pass),
		asm.JEq.Imm(port, wire16(f.port), "ours").WithSymbol(found),
		asm.HostTo(asm.BE, port, asm.Half),
		asm.Mov.Reg(asm.R7, port),
		asm.RSh.Imm(port, 6),
		asm.StoreMem(asm.RFP, -4, port, asm.Word),
		asm.Mov.Reg(asm.R2, asm.RFP),
		asm.Add.Imm(asm.R2, -4),
		asm.LoadMapPtr(asm.R1, 0).WithReference(portsMap),
		asm.FnMapLookupElem.Call(),
		asm.JEq.Imm(asm.R0, 0, pass),
		asm.LoadMem(asm.R0, asm.R0, 0, asm.DWord),
		asm.And.Imm(asm.R7, 63),
		asm.RSh.Reg(asm.R0, asm.R7),
		asm.And.Imm(asm.R0, 1),
		asm.JEq.Imm(asm.R0, 0, pass),
	)
	if f.whole {
		ours = append(passUnfinished(header, version, pass), ours...)
	}
	ours[0] = ours[0].WithSymbol("ours")
	add(ours...)
	add(
		asm.Mov.Imm(asm.R0, xdpPass).WithSymbol(pass),
		asm.Return(),
	)
	return b
}

// passUnfinished passes a datagram on whose sender left the checksum to a device, as a
// kernel does that sends by a virtual one: then there is the sum of the pseudo-header
// in its place. In generic mode such a packet may be many datagrams that the sender
// has a device cut apart, and only the kernel knows where.
func passUnfinished(header, version asm.Register, pass string) asm.Instructions {
	const sum, x = asm.R1, asm.R2
	b := asm.Instructions{asm.Mov.Imm(sum, wire16(17))}
	add := func(at int16, size asm.Size) {
		b = append(b, asm.LoadMem(x, header, at, size), asm.Add.Reg(sum, x))
	}
	b = append(b, asm.JNE.Imm(version, wire16(0x0800), "sum6"))
	add(26, asm.Word)
	add(30, asm.Word)
	add(38, asm.Half) // the length
	b = append(b,
		asm.LoadMem(asm.R3, header, 40, asm.Half), // the checksum
		asm.Ja.Label("fold"),
		asm.Mov.Reg(sum, sum).WithSymbol("sum6"),
	)
	for at := int16(22); at < 54; at += 4 {
		add(at, asm.Word)
	}
	add(58, asm.Half)
	b = append(b,
		asm.LoadMem(asm.R3, header, 60, asm.Half),
		asm.Mov.Reg(sum, sum).WithSymbol("fold"),
	)
	for range 3 { // of 36 bits that leaves 16
		b = append(b,
			asm.Mov.Reg(x, sum),
			asm.RSh.Imm(x, 16),
			asm.And.Imm(sum, 0xffff),
			asm.Add.Reg(sum, x),
		)
	}
	return append(b,
		asm.JNE.Reg(sum, asm.R3, "finished"),
		asm.StoreImm(asm.RFP, -4, 0, asm.Word),
		asm.Mov.Reg(asm.R2, asm.RFP),
		asm.Add.Imm(asm.R2, -4),
		asm.LoadMapPtr(asm.R1, 0).WithReference(passedMap),
		asm.FnMapLookupElem.Call(),
		asm.JEq.Imm(asm.R0, 0, pass),
		asm.Mov.Imm(asm.R1, 1),
		asm.AddAtomic.Mem(asm.R0, asm.R1, asm.DWord, 0),
		asm.Ja.Label(pass),
		asm.Mov.Reg(asm.R1, asm.R1).WithSymbol("finished"),
	)
}

// redirect is the end of the program for what is ours.
func redirect() asm.Instructions {
	return asm.Instructions{
		asm.LoadMem(asm.R2, asm.R6, 16, asm.Word), // rx_queue_index
		asm.LoadMapPtr(asm.R1, 0).WithReference(socketsMap),
		asm.Mov.Imm(asm.R3, xdpPass),
		asm.FnRedirectMap.Call(),
		asm.Return(),
	}
}

// What the kernel calls its verdicts.
const (
	xdpPass     = 2
	xdpRedirect = 4
)

// wire16 is what a 16-bit field holds when it is loaded from a packet.
func wire16(v uint16) int32 {
	var b [2]byte
	binary.BigEndian.PutUint16(b[:], v)
	return int32(binary.NativeEndian.Uint16(b[:]))
}

// The maps by the names that instructions refer to.
const (
	socketsMap = "sockets"
	portsMap   = "ports"
	passedMap  = "passed"
)

// maps are what the program looks things up in. They stay when it is replaced.
type maps struct {
	sockets *ebpf.Map // by receive queue
	ports   *ebpf.Map // words of a bitmap of all UDP ports
	passed  *ebpf.Map // counts the unfinished
}

// makeMaps makes the maps for a device with that many receive queues.
func makeMaps(queues int) (m maps, err error) {
	m.sockets, err = ebpf.NewMap(&ebpf.MapSpec{Name: socketsMap, Type: ebpf.XSKMap, KeySize: 4, ValueSize: 4, MaxEntries: uint32(queues)})
	if err != nil {
		return m, err
	}
	m.ports, err = ebpf.NewMap(&ebpf.MapSpec{Name: portsMap, Type: ebpf.Array, KeySize: 4, ValueSize: 8, MaxEntries: 1 << 16 / 64})
	if err != nil {
		return m, errors.Join(err, m.close())
	}
	m.passed, err = ebpf.NewMap(&ebpf.MapSpec{Name: passedMap, Type: ebpf.Array, KeySize: 4, ValueSize: 8, MaxEntries: 1, Flags: unix.BPF_F_MMAPABLE})
	if err != nil {
		return m, errors.Join(err, m.close())
	}
	return m, nil
}

func (m *maps) close() error {
	var err error
	for _, e := range []*ebpf.Map{m.sockets, m.ports, m.passed} {
		if e != nil {
			err = errors.Join(err, e.Close())
		}
	}
	return err
}

// load has the kernel verify and compile the program. frags says that packets may
// have several frames, of which it looks at the first.
func (f filter) load(m maps, ours asm.Instructions, frags bool) (*ebpf.Program, error) {
	instructions := f.instructions(ours)
	for name, e := range map[string]*ebpf.Map{socketsMap: m.sockets, portsMap: m.ports, passedMap: m.passed} {
		if err := instructions.AssociateMap(name, e); err != nil && !errors.Is(err, asm.ErrUnreferencedSymbol) {
			return nil, err
		}
	}
	flags := uint32(0)
	if frags {
		flags = unix.BPF_F_XDP_HAS_FRAGS
	}
	return ebpf.NewProgram(&ebpf.ProgramSpec{
		Name:         "peregrine",
		Type:         ebpf.XDP,
		Instructions: instructions,
		Flags:        flags,
		License:      "Dual BSD/GPL",
	})
}
