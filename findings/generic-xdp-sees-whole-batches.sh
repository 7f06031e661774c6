#!/usr/bin/env bash
# In generic mode AF_XDP receives a neighbour's run of UDP_SEGMENT datagrams as one datagram, or not at all.
#
# Expected: what UDP_SEGMENT sends is cut apart by the device, or before it where that cannot; who receives sees
# datagrams, as sockets do, also behind a veth pair. An XDP program sees packets as long as the
# MTU, or several fragments where it says so; a packet too long for a socket's frame is counted in its rx_dropped.
#
# Seen (Linux 6.18.44, asavie/xdp 0.3.3, Python 3.11, 2026-11-28): veth hands the run on as one packet. In native mode the
# kernel turns the peer's segmentation off, and the datagrams are single. In generic mode nobody does, and nobody cuts it
# before the program: 40 datagrams of 20 bytes are one of 800, with lengths in IP and UDP to match, and nothing tells it
# from a real one of 800 bytes. What is longer than a frame (more than the MTU, too) is lost whole. A sender that sends
# again sends a run again. The one sign is the checksum: that of the pseudo-header alone, as a run cannot have another.
#
#   native, 40 of 20 bytes: 40 of 20 bytes
#   native, 40 of 100 bytes: 40 of 100 bytes
#   generic, 40 of 20 bytes: 1 of 800 bytes
#   generic, 40 of 100 bytes: nothing
#   generic, 40 of 20 bytes, sender's tx off: 40 of 20 bytes
#
# Needs root, go, python3, iproute2 and ethtool. Makes two network namespaces, and removes them.
set -euo pipefail

dir=$(mktemp -d)
a=wholea$$ b=wholeb$$
trap 'ip netns del $a 2>/dev/null || true; ip netns del $b 2>/dev/null || true; rm -rf "$dir"' EXIT
ip netns add $a
ip netns add $b
ip link add va netns $a type veth peer name vb netns $b
ip -n $a addr add 10.9.0.1/24 dev va
ip -n $b addr add 10.9.0.2/24 dev vb
ip -n $a link set va up
ip -n $b link set vb up
ip -n $a neigh add 10.9.0.2 lladdr "$(ip netns exec $b cat /sys/class/net/vb/address)" dev va nud permanent

cat >"$dir/send.py" <<'PY'
import socket, sys

SOL_UDP, UDP_SEGMENT = 17, 103
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.setsockopt(SOL_UDP, UDP_SEGMENT, int(sys.argv[1]))
s.sendto(b"x" * int(sys.argv[1]) * 40, ("10.9.0.2", 4242))
PY

cat >"$dir/receive.go" <<'GO'
// receive prints the datagrams that come to an AF_XDP socket, while a command runs and for half a second more.
package main

import (
	"encoding/binary"
	"fmt"
	"log"
	"net"
	"os"
	"os/exec"
	"time"

	"github.com/asavie/xdp"
)

func must[T any](v T, err error) T {
	if err != nil {
		log.Fatal(err)
	}
	return v
}

func main() {
	const generic, native = 1 << 1, 1 << 2 // XDP_FLAGS_SKB_MODE, XDP_FLAGS_DRV_MODE
	xdp.DefaultXdpFlags = map[string]uint32{"generic": generic, "native": native}[os.Args[1]]
	link := must(net.InterfaceByName("vb"))
	program := must(xdp.NewProgram(1))
	must(0, program.Attach(link.Index))
	socket := must(xdp.NewSocket(link.Index, 0, &xdp.SocketOptions{NumFrames: 128, FrameSize: 2048, FillRingNumDescs: 128,
		CompletionRingNumDescs: 64, RxRingNumDescs: 128, TxRingNumDescs: 64}))
	must(0, program.Register(0, socket.FD()))
	socket.Fill(socket.GetDescs(socket.NumFreeFillSlots()))
	must(0, exec.Command(os.Args[2], os.Args[3:]...).Run())

	sizes := map[int]int{}
	for end := time.Now().Add(500 * time.Millisecond); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		for _, d := range socket.Receive(socket.NumReceived()) {
			if p := socket.GetFrame(d); len(p) > 42 && p[12] == 8 && p[13] == 0 && p[23] == 17 && binary.BigEndian.Uint16(p[36:]) == 4242 {
				sizes[int(binary.BigEndian.Uint16(p[38:]))-8]++
			}
		}
	}
	if len(sizes) == 0 {
		fmt.Println("nothing")
	}
	for size, n := range sizes {
		fmt.Printf("%d of %d bytes\n", n, size)
	}
}
GO
(cd "$dir" && go mod init seen && go get github.com/asavie/xdp@v0.3.3 && go build -o receive receive.go) >"$dir/build.log" 2>&1 || {
	cat "$dir/build.log"
	exit 1
}

try() { # mode, bytes of each datagram
	ip netns exec $b "$dir/receive" "$1" ip netns exec $a python3 "$dir/send.py" "$2"
	ip -n $b link set vb "$([ "$1" = native ] && echo xdpdrv || echo xdpgeneric)" off # the library removes either as native
}
seen=$(
	for mode in native generic; do
		for size in 20 100; do
			echo "$mode, 40 of $size bytes: $(try $mode $size)"
		done
	done
	ip netns exec $a ethtool -K va tx off >"$dir/ethtool.log"
	echo "generic, 40 of 20 bytes, sender's tx off: $(try generic 20)"
)
echo "$seen"
diff <(sed -n 's/^#   //p' "$0") <(echo "$seen") && echo "as it was seen"
