package netdev

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// What is used of include/uapi/linux/netdev.h.
const (
	family = "netdev"

	devGet       = 1
	devIfindex   = 1
	devXDP       = 3
	devXSK       = 6
	queueGet     = 10
	queueID      = 1
	queueIfindex = 2
	queueType    = 3
	queueNAPI    = 4
	typeRX       = 0
)

// Features are bits of what a driver has.
type Features struct {
	XDP uint64 // enum netdev_xdp_act
	XSK uint64 // enum netdev_xsk_flags; 0 also of kernels before Linux 6.8
}

// TXChecksum says that the driver completes checksums of what AF_XDP sockets send
// (NETDEV_XSK_FLAGS_TX_CHECKSUM).
func (f Features) TXChecksum() bool { return f.XSK&2 != 0 }

// Of asks for the features of an interface. An error means that the kernel does not
// tell (before Linux 6.3).
func Of(index int) (Features, error) {
	answer, err := ask(devGet, attribute{devIfindex, uint32(index)})
	return Features{XDP: answer[devXDP], XSK: answer[devXSK]}, err
}

// NAPI asks which NAPI instance serves a receive queue. 0 means that the driver does
// not say, and an error that the kernel does not (before Linux 6.8).
func NAPI(index, queue int) (uint32, error) {
	answer, err := ask(queueGet, attribute{queueIfindex, uint32(index)}, attribute{queueType, typeRX}, attribute{queueID, uint32(queue)})
	return uint32(answer[queueNAPI]), err
}

// attribute is one that asks.
type attribute struct {
	kind  int
	value uint32
}

// header is struct genlmsghdr: command, version, and two bytes that must be zero.
// nl.Genlmsg (v1.3.1) sends whatever lies behind itself in memory as these,
// which others may be writing.
type header [nl.SizeofGenlmsg]byte

// Len implements nl.NetlinkRequestData.
func (h header) Len() int { return len(h) }

// Serialize implements nl.NetlinkRequestData.
func (h header) Serialize() []byte { return h[:] }

// ask returns the numbers in the answer to a command, by kind.
func ask(command uint8, about ...attribute) (map[uint16]uint64, error) {
	// Not by netlink.GenlFamilyGet, whose header is nl.Genlmsg.
	f, err := request(nl.GENL_ID_CTRL, header{nl.GENL_CTRL_CMD_GETFAMILY, nl.GENL_CTRL_VERSION},
		nl.NewRtAttr(nl.GENL_CTRL_ATTR_FAMILY_NAME, nl.ZeroTerminated(family)))
	if err != nil {
		return nil, fmt.Errorf("netdev: this kernel has no such family: %w", err)
	}
	var attributes []*nl.RtAttr
	for _, a := range about {
		attributes = append(attributes, nl.NewRtAttr(a.kind, nl.Uint32Attr(a.value)))
	}
	answer, err := request(int(f[nl.GENL_CTRL_ATTR_FAMILY_ID]), header{command, uint8(f[nl.GENL_CTRL_ATTR_VERSION])}, attributes...)
	if err != nil {
		return nil, fmt.Errorf("netdev: %w", err)
	}
	return answer, nil
}

// request returns the numbers in the answer of a family.
func request(id int, h header, attributes ...*nl.RtAttr) (map[uint16]uint64, error) {
	r := nl.NewNetlinkRequest(id, 0)
	r.AddData(h)
	for _, a := range attributes {
		r.AddData(a)
	}
	messages, err := r.Execute(unix.NETLINK_GENERIC, 0)
	if err != nil {
		return nil, err
	}
	if len(messages) == 0 {
		return nil, errors.New("no answer")
	}
	return numbers(messages[0])
}

// numbers takes an answer apart.
func numbers(message []byte) (map[uint16]uint64, error) {
	if len(message) < nl.SizeofGenlmsg {
		return nil, fmt.Errorf("an answer of %d bytes", len(message))
	}
	attributes, err := nl.ParseRouteAttr(message[nl.SizeofGenlmsg:])
	if err != nil {
		return nil, err
	}
	found := make(map[uint16]uint64, len(attributes))
	for _, a := range attributes {
		switch kind := a.Attr.Type & nl.NLA_TYPE_MASK; len(a.Value) {
		case 2:
			found[kind] = uint64(binary.NativeEndian.Uint16(a.Value))
		case 4:
			found[kind] = uint64(binary.NativeEndian.Uint32(a.Value))
		case 8:
			found[kind] = binary.NativeEndian.Uint64(a.Value)
		}
	}
	return found, nil
}
