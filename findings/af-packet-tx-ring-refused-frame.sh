#!/usr/bin/env bash
# A frame that the far end of a veth pair refuses blocks an AF_PACKET transmit ring.
#
# Expected: PACKET_TX_RING is a queue of frames. One that the device does not deliver, here because it is longer than
# the peer's MTU, is dropped like any frame on a wire, and those behind it go out; with PACKET_LOSS at the latest, which
# packet(7) describes as skipping malformed packets rather than stopping at them.
#
# Seen (Linux 6.18.44, 2026-11-28): with PACKET_QDISC_BYPASS, as DPDK's net_af_packet has it by default, the frame goes
# back to the head of the ring as TP_STATUS_SEND_REQUEST, and send() tries it again each time, for ever. None of the small
# frames behind it leaves. PACKET_LOSS changes nothing. Through a queueing discipline (pfifo) the frame is dropped there
# and the rest go out; veth's own, noqueue, blocks as the bypass does.
#
#   bypass: 0 of 10 small frames arrived
#   bypass, PACKET_LOSS: 0 of 10 small frames arrived
#   noqueue: 0 of 10 small frames arrived
#   pfifo: 10 of 10 small frames arrived
#
# Needs root, gcc, iproute2 and the kernel's headers for programs (Debian: gcc, iproute2, linux-libc-dev).
set -euo pipefail

dir=$(mktemp -d)
ns=finding-$$
trap 'ip netns del "$ns" 2>/dev/null || true; ip netns del "$ns-far" 2>/dev/null || true; rm -rf "$dir"' EXIT

cat >"$dir/ring.c" <<'C'
#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

/* ring IFNAME BYPASS LOSS: one frame of 1400 bytes, then ten of 100. */
int main(int argc, char **argv) {
	int fd = socket(AF_PACKET, SOCK_RAW, 0), bypass = atoi(argv[2]), loss = atoi(argv[3]);
	struct tpacket_req req = {.tp_block_size = 65536, .tp_block_nr = 1, .tp_frame_size = 2048, .tp_frame_nr = 32};
	int version = TPACKET_V2;
	if (setsockopt(fd, SOL_PACKET, PACKET_VERSION, &version, sizeof version) ||
	    setsockopt(fd, SOL_PACKET, PACKET_QDISC_BYPASS, &bypass, sizeof bypass) ||
	    setsockopt(fd, SOL_PACKET, PACKET_LOSS, &loss, sizeof loss) ||
	    setsockopt(fd, SOL_PACKET, PACKET_TX_RING, &req, sizeof req))
		return perror("setsockopt"), 1;
	char *ring = mmap(0, 65536, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	struct sockaddr_ll to = {.sll_family = AF_PACKET, .sll_protocol = htons(0x88b5), .sll_ifindex = if_nametoindex(argv[1])};
	if (ring == MAP_FAILED || bind(fd, (struct sockaddr *)&to, sizeof to))
		return perror("ring"), 1;
	for (int i = 0; i < 11; i++) {
		struct tpacket2_hdr *h = (void *)(ring + i * 2048);
		unsigned char *frame = (unsigned char *)h + TPACKET2_HDRLEN - sizeof(struct sockaddr_ll);
		memset(frame, 0xff, 6); /* to all */
		memset(frame + 6, 0x02, 6);
		frame[12] = 0x88, frame[13] = 0xb5; /* for experiments */
		h->tp_len = i ? 100 : 1400;
		__atomic_store_n(&h->tp_status, TP_STATUS_SEND_REQUEST, __ATOMIC_RELEASE);
	}
	for (int i = 0; i < 50; i++, usleep(10000))
		send(fd, 0, 0, MSG_DONTWAIT);
	return 0;
}
C
gcc -O1 -o "$dir/ring" "$dir/ring.c"

ip netns add "$ns"
ip netns add "$ns-far"
ip -n "$ns" link add near type veth peer name far netns "$ns-far"
ip -n "$ns" link set near up
ip -n "$ns-far" link set far mtu 1200 up
ip netns exec "$ns" sysctl -qw net.ipv6.conf.all.disable_ipv6=1
ip netns exec "$ns-far" sysctl -qw net.ipv6.conf.all.disable_ipv6=1
sleep 1

arrived() { ip netns exec "$ns-far" cat /sys/class/net/far/statistics/rx_packets; }

run() { # NAME BYPASS LOSS
	local before after
	before=$(arrived)
	ip netns exec "$ns" "$dir/ring" near "$2" "$3"
	after=$(arrived)
	echo "$1: $((after - before)) of 10 small frames arrived"
}

seen=$(
	run "bypass" 1 0
	run "bypass, PACKET_LOSS" 1 1
	run "noqueue" 0 0
	ip -n "$ns" link set near txqueuelen 100
	tc -n "$ns" qdisc replace dev near root pfifo
	run "pfifo" 0 0
)
echo "$seen"
diff <(sed -n 's/^#   //p' "$0") <(echo "$seen") && echo "as it was seen"
