#!/usr/bin/env bash
# github.com/vishvananda/netlink sends two bytes of foreign memory in each generic netlink request.
#
# Expected: nl.Genlmsg{Command, Version} becomes the 4 bytes of struct genlmsghdr, whose last two are reserved and zero.
# Families that check what they are sent strictly, as all newer ones do, answer EINVAL to anything else.
#
# Seen (netlink v1.3.1, Linux 6.18.44, 2026-11-28): Serialize views the two bytes of the Go struct as four. What comes behind
# is whatever lies there: of an array it is the next element. So the same request to the family "netdev", which tells what
# a device can do with XDP, succeeds or fails with "invalid argument", by the neighbours of a struct on the heap. With the
# header made by hand and padded with zeros it succeeds always.
#
#   serialized: 01 01 07 09
#   netdev, neighbours zero: ok
#   netdev, neighbours not zero: invalid argument
#   netdev, header by hand: ok
#
# Needs the Go tool chain and its module proxy.
set -euo pipefail

dir=$(mktemp -d)
trap 'chmod -R u+w "$dir"; rm -rf "$dir"' EXIT
cd "$dir"

cat >go.mod <<'MOD'
module finding

go 1.23

require github.com/vishvananda/netlink v1.3.1
MOD
cat >main.go <<'GO'
package main

import (
	"fmt"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// header is a genlmsghdr made by hand.
type header struct{ bytes [4]byte }

func (h *header) Len() int          { return len(h.bytes) }
func (h *header) Serialize() []byte { return h.bytes[:] }

// ask asks what the loopback device can do with XDP (NETDEV_CMD_DEV_GET of device 1).
func ask(family uint16, head nl.NetlinkRequestData) string {
	r := nl.NewNetlinkRequest(int(family), 0)
	r.AddData(head)
	r.AddData(nl.NewRtAttr(1, nl.Uint32Attr(1)))
	if _, err := r.Execute(unix.NETLINK_GENERIC, 0); err != nil {
		return err.Error()
	}
	return "ok"
}

func main() {
	messages := &[2]nl.Genlmsg{{Command: 1, Version: 1}, {Command: 7, Version: 9}}
	fmt.Printf("serialized: % x\n", messages[0].Serialize())
	family, err := netlink.GenlFamilyGet("netdev")
	if err != nil {
		panic(err)
	}
	calm := &[2]nl.Genlmsg{{Command: 1, Version: 1}}
	fmt.Println("netdev, neighbours zero:", ask(family.ID, &calm[0]))
	fmt.Println("netdev, neighbours not zero:", ask(family.ID, &messages[0]))
	fmt.Println("netdev, header by hand:", ask(family.ID, &header{[4]byte{1, 1}}))
}
GO
export GOFLAGS=-mod=mod GOPATH="$dir/go"
go mod tidy 2>/dev/null
go run . | tee seen
diff seen - <<'SEEN' || { echo "this has changed"; exit 1; }
serialized: 01 01 07 09
netdev, neighbours zero: ok
netdev, neighbours not zero: invalid argument
netdev, header by hand: ok
SEEN
