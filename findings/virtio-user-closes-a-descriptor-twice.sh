#!/usr/bin/env bash
# A virtio-user port of DPDK that is closed closes a descriptor twice.
#
# Expected: who closes a port of a program with many threads closes each of its descriptors once. The number of one that is
# closed is anybody's at once: a second close() takes it from whoever was given it in between.
#
# Seen (dpdk 22.11.11-0+deb12u1, Linux 6.18.44, 2026-11-28): a port with link-state interrupts, which testpmd takes unasked,
# closes the eventfd of its first receive queue with its interrupts and again, a few messages to its peer later, with its
# queues: the second close() answers EBADF. In between another thread of the same program, that of vhost, opened and
# closed files by that very number.
#
#   interrupts: the descriptor of a queue was closed and closed again
#   no-interrupts: each descriptor was closed once
#
# Needs root, dpdk and strace (Debian 12: apt-get install dpdk=22.11.11-0+deb12u1 strace).
set -euo pipefail

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

# closed NAME OPTION...: a vhost port, and a virtio-user port that comes, starts, stops and is closed.
closed() {
	local name=$1 trace="$dir/$1.trace" queues fd
	shift
	{
		sleep 3
		echo "port attach net_virtio_user0,path=$dir/$name"
		sleep 2
		echo "port start 1"
		sleep 2
		echo "port stop 1"
		sleep 1
		echo "port close 1"
		sleep 1
		echo quit
	} | timeout 120 strace -f -qq -e trace=close,eventfd2 -o "$trace" dpdk-testpmd -l 0,1 --no-huge -m 256 --no-pci \
		--file-prefix "finding-$$" --vdev "net_vhost0,iface=$dir/$name" -- -i --total-num-mbufs=2048 "$@" >"$dir/$name.log" 2>&1
	queues=$(sed -n 's/.*eventfd2(.*) = \([0-9]*\)$/\1/p' "$trace")
	[ -n "$queues" ] || { cat "$dir/$name.log"; exit 1; }
	for fd in $queues; do
		if grep -q "close($fd) *= -1 EBADF" "$trace"; then
			echo "$name: the descriptor of a queue was closed and closed again"
			return
		fi
	done
	echo "$name: each descriptor was closed once"
}

seen=$(closed interrupts && closed no-interrupts --no-lsc-interrupt)
echo "$seen"
[ "$seen" = "interrupts: the descriptor of a queue was closed and closed again
no-interrupts: each descriptor was closed once" ]
