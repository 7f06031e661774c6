#!/usr/bin/env bash
# Whether io_uring sends a UDP message without a copy depends on where in their pages its bytes lie.
#
# Expected: IORING_OP_SENDMSG_ZC sends what sendmsg() sends. Where the kernel cannot do without a copy it makes one, as it
# does on the loopback in any case, and as IORING_SEND_ZC_REPORT_USAGE is there to tell; EMSGSIZE means a message of too
# many bytes. io_uring_prep_sendmsg_zc(3) and io_uring_prep_send_zc(3) name no other limit.
#
# Seen (Linux 6.18.44, liburing 2.3, 2026-11-28): a message touches at most 17 pages, each part of it counted by itself, or
# it is refused with EMSGSIZE. So a header of 8 bytes and a payload of 65,000 are sent from one address and refused from
# another, 61,442 bytes are refused where 65,499 are sent, and sendmsg() takes all of them. Nobody who sends buffers of
# others, which lie as they lie, can tell from lengths: count pages, and be ready to send with a copy.
#
#   8 + 65499 bytes at   0 of a page: SENDMSG_ZC 65507, sendmsg 65507
#   8 + 65000 bytes at 100 of a page: SENDMSG_ZC 65008, sendmsg 65008
#   8 + 65000 bytes at 4000 of a page: SENDMSG_ZC Message too long, sendmsg 65008
#   8 + 61442 bytes at 4095 of a page: SENDMSG_ZC Message too long, sendmsg 61450
#
# Needs gcc, apt and an io_uring that is not turned off; pages of 4 KiB.
set -euo pipefail

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
apt-get -qq -o APT::Sandbox::User=root download liburing-dev=2.3-3 liburing2=2.3-3
for package in *.deb; do dpkg -x "$package" .; done
lib=$(dirname "$(find . -name liburing.a)")

cat >send.c <<'C'
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <liburing.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

int main(void) {
	static const struct { int at, size; } messages[] = {{0, 65499}, {100, 65000}, {4000, 65000}, {4095, 61442}};
	struct io_uring ring;
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof to;
	int rx = socket(AF_INET, SOCK_DGRAM, 0), tx = socket(AF_INET, SOCK_DGRAM, 0), room = 1 << 20;
	char *memory = mmap(0, 1 << 17, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), head[8] = {0}, sink[1 << 16];
	if (io_uring_queue_init(8, &ring, 0) || memory == MAP_FAILED || bind(rx, (void *)&to, len) ||
	    getsockname(rx, (void *)&to, &len) || connect(tx, (void *)&to, len) ||
	    setsockopt(tx, SOL_SOCKET, SO_SNDBUF, &room, sizeof room))
		return perror("set-up"), 1;
	memset(memory, 1, 1 << 17);
	for (int i = 0; i < 4; i++) {
		struct iovec parts[] = {{head, sizeof head}, {memory + messages[i].at, messages[i].size}};
		struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
		struct io_uring_cqe *c;
		struct io_uring_sqe *e = io_uring_get_sqe(&ring);
		io_uring_prep_sendmsg_zc(e, tx, &message, 0);
		io_uring_submit(&ring);
		io_uring_wait_cqe(&ring, &c);
		int result = c->res, more = c->flags & IORING_CQE_F_MORE;
		io_uring_cqe_seen(&ring, c);
		if (more) { /* the notification */
			io_uring_wait_cqe(&ring, &c);
			io_uring_cqe_seen(&ring, c);
		}
		while (recv(rx, sink, sizeof sink, MSG_DONTWAIT) >= 0)
			;
		char text[32];
		snprintf(text, sizeof text, "%d", result);
		printf("8 + %d bytes at %3d of a page: SENDMSG_ZC %s, sendmsg %zd\n", messages[i].size, messages[i].at,
		       result < 0 ? strerror(-result) : text, sendmsg(tx, &message, 0));
		while (recv(rx, sink, sizeof sink, MSG_DONTWAIT) >= 0)
			;
	}
	return 0;
}
C
gcc -O1 -I usr/include -o send send.c "$lib/liburing.a"
./send | tee seen
diff seen - <<'SEEN' || { echo "this has changed"; exit 1; }
8 + 65499 bytes at   0 of a page: SENDMSG_ZC 65507, sendmsg 65507
8 + 65000 bytes at 100 of a page: SENDMSG_ZC 65008, sendmsg 65008
8 + 65000 bytes at 4000 of a page: SENDMSG_ZC Message too long, sendmsg 65008
8 + 61442 bytes at 4095 of a page: SENDMSG_ZC Message too long, sendmsg 61450
SEEN
