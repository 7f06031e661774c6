// A raw echo server on liburing, as `peregrine serve --raw` is one on Peregrine's
// ring: multishot recvmsg into provided buffers, and one sendmsg for each message
// that arrived, submitted together. With offload, messages are runs of datagrams
// both ways (UDP_GRO, UDP_SEGMENT); each datagram of them is looked at, and answered
// from memory of its own. It polls busily, prints where it listens, and ends with its
// standard input.
//
//	cc -O2 -o echo echo.c -luring && ./echo CPU on|off
//
// A peer is taken to be an IPv4 one. The client's question for statistics is
// answered with none.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <liburing.h>
#include <netinet/udp.h>
#include <poll.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#define UDP_GRO 104
#endif

enum {
	BUFFERS = 64, // with the kernel or being answered; a power of two
	NAME = 32,
	CONTROL = 64,
	PAYLOAD = 1 << 16,
	SIZE = sizeof(struct io_uring_recvmsg_out) + NAME + CONTROL + PAYLOAD,
	HEADER = 16,    // of a datagram
	STATISTICS = 4, // a kind of datagram
};

static struct io_uring ring;
static struct io_uring_buf_ring *buffers;
static unsigned char memory[BUFFERS][(SIZE + 63) / 64 * 64 + 64], echoes[BUFFERS][PAYLOAD + 64];
static struct msghdr incoming = {.msg_namelen = NAME, .msg_controllen = CONTROL};
static struct {
	struct msghdr msg;
	struct iovec iov;
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(uint16_t))];
	} control;
} answers[BUFFERS];

static void fail(const char *what, int error) {
	fprintf(stderr, "liburing echo: %s: %s\n", what, strerror(error));
	exit(1);
}

static struct io_uring_sqe *request(void) {
	struct io_uring_sqe *e = io_uring_get_sqe(&ring);
	if (!e) {
		io_uring_submit(&ring);
		e = io_uring_get_sqe(&ring);
	}
	return e;
}

static void receive(void) {
	struct io_uring_sqe *e = request();
	io_uring_prep_recvmsg_multishot(e, 0, &incoming, 0);
	e->flags |= IOSQE_BUFFER_SELECT | IOSQE_FIXED_FILE;
	e->buf_group = 0;
	e->user_data = BUFFERS;
}

static void provide(int b) {
	io_uring_buf_ring_add(buffers, memory[b], SIZE, b, io_uring_buf_ring_mask(BUFFERS), 0);
	io_uring_buf_ring_advance(buffers, 1);
}

// answer sends back what buffer b holds; the buffer is free when that is done.
static void answer(int b, int length) {
	struct io_uring_recvmsg_out *out = io_uring_recvmsg_validate(memory[b], length, &incoming);
	if (!out) {
		provide(b);
		return;
	}
	unsigned char *payload = io_uring_recvmsg_payload(out, &incoming);
	unsigned size = io_uring_recvmsg_payload_length(out, length, &incoming);
	int segment = 0;
	for (struct cmsghdr *c = io_uring_recvmsg_cmsg_firsthdr(out, &incoming); c; c = io_uring_recvmsg_cmsg_nexthdr(out, &incoming, c))
		if (c->cmsg_level == IPPROTO_UDP && c->cmsg_type == UDP_GRO)
			memcpy(&segment, CMSG_DATA(c), sizeof segment);
	unsigned each = segment && (unsigned)segment < size ? segment : size, answered = 0;
	for (unsigned at = 0; at < size; at += each) {
		unsigned n = size - at < each ? size - at : each;
		if (n < HEADER)
			continue;
		memcpy(echoes[b] + answered, payload + at, n);
		if (payload[at + 8] == STATISTICS) {
			memcpy(echoes[b] + answered + HEADER, "{\"pinned_to\":-1}", 16);
			n = each = HEADER + 16;
		}
		answered += n;
	}
	if (!answered) {
		provide(b);
		return;
	}
	struct msghdr *m = &answers[b].msg;
	answers[b].iov = (struct iovec){echoes[b], answered};
	*m = (struct msghdr){.msg_name = io_uring_recvmsg_name(out), .msg_namelen = sizeof(struct sockaddr_in), .msg_iov = &answers[b].iov, .msg_iovlen = 1};
	if (each < answered) {
		m->msg_control = answers[b].control.bytes;
		m->msg_controllen = sizeof answers[b].control.bytes;
		struct cmsghdr *c = CMSG_FIRSTHDR(m);
		c->cmsg_level = IPPROTO_UDP;
		c->cmsg_type = UDP_SEGMENT;
		c->cmsg_len = CMSG_LEN(sizeof(uint16_t));
		uint16_t s = each;
		memcpy(CMSG_DATA(c), &s, sizeof s);
	}
	struct io_uring_sqe *e = request();
	io_uring_prep_sendmsg(e, 0, m, MSG_DONTWAIT);
	e->flags |= IOSQE_FIXED_FILE;
	e->user_data = b;
}

static int over(void) {
	struct pollfd in = {.fd = 0, .events = POLLIN};
	char byte;
	return poll(&in, 1, 0) > 0 && read(0, &byte, 1) <= 0;
}

int main(int argc, char **argv) {
	if (argc != 3) {
		fprintf(stderr, "usage: echo CPU on|off\n");
		return 2;
	}
	cpu_set_t cpus;
	CPU_ZERO(&cpus);
	CPU_SET(atoi(argv[1]), &cpus);
	if (sched_setaffinity(0, sizeof cpus, &cpus))
		fail("affinity", errno);

	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), on = 1, room = 8 << 20;
	struct sockaddr_in local = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof local;
	if (fd < 0 || bind(fd, (struct sockaddr *)&local, len) || getsockname(fd, (struct sockaddr *)&local, &len))
		fail("socket", errno);
	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof room))
		setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof room);
	if (!strcmp(argv[2], "on") && setsockopt(fd, IPPROTO_UDP, UDP_GRO, &on, sizeof on))
		fail("UDP_GRO", errno);

	struct io_uring_params p = {
		.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_TASKRUN_FLAG | IORING_SETUP_SUBMIT_ALL | IORING_SETUP_CQSIZE,
		.cq_entries = 1024,
	};
	int error = io_uring_queue_init_params(256, &ring, &p);
	if (error)
		fail("io_uring_queue_init_params", -error);
	if ((error = io_uring_register_files(&ring, &fd, 1)) < 0)
		fail("io_uring_register_files", -error);
	io_uring_register_ring_fd(&ring);
	struct io_uring_buf_reg reg = {.ring_entries = BUFFERS};
	if (posix_memalign((void **)&buffers, 4096, BUFFERS * sizeof(struct io_uring_buf)))
		fail("memory", ENOMEM);
	reg.ring_addr = (uintptr_t)buffers;
	if ((error = io_uring_register_buf_ring(&ring, &reg, 0)))
		fail("io_uring_register_buf_ring", -error);
	io_uring_buf_ring_init(buffers);
	for (int b = 0; b < BUFFERS; b++)
		provide(b);
	receive();

	printf("listening on 127.0.0.1:%d over liburing\n", ntohs(local.sin_port));
	fflush(stdout);
	for (unsigned turn = 0; turn % (1 << 20) || !over(); turn++) {
		// Without the flag there is nothing to do, and no reason for a call.
		if (io_uring_sq_ready(&ring) || (IO_URING_READ_ONCE(*ring.sq.kflags) & (IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW)))
			io_uring_submit_and_get_events(&ring);
		struct io_uring_cqe *c;
		unsigned head, seen = 0;
		io_uring_for_each_cqe(&ring, head, c) {
			seen++;
			if (c->user_data < BUFFERS) {
				provide(c->user_data);
				continue;
			}
			if (c->flags & IORING_CQE_F_BUFFER)
				answer(c->flags >> IORING_CQE_BUFFER_SHIFT, c->res);
			if (!(c->flags & IORING_CQE_F_MORE))
				receive();
		}
		io_uring_cq_advance(&ring, seen);
	}
	return 0;
}
