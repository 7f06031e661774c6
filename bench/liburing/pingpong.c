// What asking and being told cost, without Peregrine: two pinned threads of two
// processes bounce a datagram of 48 bytes over the loopback, busily, on one kernel, in
// three ways. They take turns, and ratios are of the rounds'.
//
//	plain   sendmsg, and recvmmsg until there is something
//	asked   io_uring: a send, and a recvmsg that does not wait, until there is something
//	told    io_uring: a multishot recvmsg that stays, and a look at the ring's flag
//
//	cc -O2 -o pingpong pingpong.c -luring && ./pingpong CPU CPU
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <liburing.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { PLAIN, ASKED, TOLD, WAYS, ROUNDS = 15, TIMES = 5000, BUFFERS = 8, NAME = 32, CONTROL = 128, PAYLOAD = 2048, SIZE = 48 };
static const char *names[] = {"plain", "asked", "told"};
static const int on = 1;

static int way, fd;
static struct sockaddr_in peer;
static long calls;
static struct io_uring ring;
static struct io_uring_buf_ring *buffers;
static char memory[BUFFERS][sizeof(struct io_uring_recvmsg_out) + NAME + CONTROL + PAYLOAD];
static char name[NAME], control[CONTROL], payload[PAYLOAD], out[SIZE];
static struct msghdr told = {.msg_namelen = NAME, .msg_controllen = CONTROL};
static struct iovec into = {payload, PAYLOAD}, from = {out, SIZE};
static struct mmsghdr one;
static int under_way;

static void must(int ok, const char *what) {
	if (!ok)
		perror(what), exit(1);
}

static int listens(void) {
	struct sockaddr_in any = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int s = socket(AF_INET, SOCK_DGRAM, 0);
	must(s >= 0 && !bind(s, (void *)&any, sizeof any), "socket");
	setsockopt(s, IPPROTO_IP, IP_RECVTOS, &on, sizeof on);
	setsockopt(s, SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof on);
	return s;
}

static void provide(int b) {
	io_uring_buf_ring_add(buffers, memory[b], sizeof memory[b], b, BUFFERS - 1, 0);
	io_uring_buf_ring_advance(buffers, 1);
}

static void begin(int cpu, int own, int other) {
	cpu_set_t set;
	socklen_t len = sizeof peer;
	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	must(!sched_setaffinity(0, sizeof set, &set), "affinity");
	must(!getsockname(other, (void *)&peer, &len), "getsockname");
	fd = own, calls = 0, under_way = 0;
	if (way == PLAIN)
		return;
	struct io_uring_params p = {.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_TASKRUN_FLAG};
	must(!io_uring_queue_init_params(64, &ring, &p), "io_uring");
	must(!io_uring_register_files(&ring, &fd, 1) && io_uring_register_ring_fd(&ring) == 1, "register");
	must(!posix_memalign((void **)&buffers, 4096, 4096), "memory");
	struct io_uring_buf_reg reg = {.ring_addr = (unsigned long)buffers, .ring_entries = BUFFERS};
	must(!io_uring_register_buf_ring(&ring, &reg, 0), "buffers");
	io_uring_buf_ring_init(buffers);
	for (int b = 0; b < BUFFERS; b++)
		provide(b);
}

static void submit(void) {
	calls++;
	io_uring_submit_and_get_events(&ring);
}

static void sends(void) {
	if (way == PLAIN) {
		struct msghdr m = {.msg_name = &peer, .msg_namelen = sizeof peer, .msg_iov = &from, .msg_iovlen = 1};
		calls++;
		must(sendmsg(fd, &m, MSG_DONTWAIT) == SIZE, "sendmsg");
		return;
	}
	struct io_uring_sqe *e = io_uring_get_sqe(&ring);
	io_uring_prep_send(e, 0, out, SIZE, MSG_DONTWAIT);
	e->addr2 = (unsigned long)&peer;
	e->addr_len = sizeof peer;
	e->flags |= IOSQE_FIXED_FILE | IOSQE_CQE_SKIP_SUCCESS;
	submit();
}

static void fresh(void) {
	one.msg_hdr = (struct msghdr){.msg_name = name, .msg_namelen = NAME, .msg_iov = &into, .msg_iovlen = 1, .msg_control = control, .msg_controllen = CONTROL};
}

static void receives(void) {
	if (way == PLAIN) {
		do
			fresh(), calls++;
		while (recvmmsg(fd, &one, 1, MSG_DONTWAIT, 0) != 1);
		return;
	}
	for (int got = 0; !got;) {
		if (!under_way) {
			struct io_uring_sqe *e = io_uring_get_sqe(&ring);
			fresh();
			if (way == TOLD) {
				io_uring_prep_recvmsg_multishot(e, 0, &told, 0);
				e->flags |= IOSQE_BUFFER_SELECT;
			} else
				io_uring_prep_recvmsg(e, 0, &one.msg_hdr, MSG_DONTWAIT);
			e->flags |= IOSQE_FIXED_FILE;
			under_way = 1;
		}
		if (io_uring_sq_ready(&ring) || IO_URING_READ_ONCE(*ring.sq.kflags) & IORING_SQ_TASKRUN)
			submit();
		struct io_uring_cqe *c;
		unsigned head, seen = 0;
		io_uring_for_each_cqe(&ring, head, c) {
			seen++;
			got += c->res > 0;
			under_way = !!(c->flags & IORING_CQE_F_MORE);
			if (c->flags & IORING_CQE_F_BUFFER)
				provide(c->flags >> IORING_CQE_BUFFER_SHIFT);
		}
		io_uring_cq_advance(&ring, seen);
	}
}

static double now(void) {
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1e9 + t.tv_nsec;
}

static int by_size(const void *a, const void *b) {
	double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

static double median(double *v, int n) {
	qsort(v, n, sizeof *v, by_size);
	return v[n / 2];
}

int main(int argc, char **argv) {
	if (argc != 3)
		return fprintf(stderr, "usage: pingpong CPU CPU\n"), 2;
	static double took[TIMES], p50[WAYS][ROUNDS], ratio[ROUNDS];
	double asked[WAYS];
	for (int round = 0; round < ROUNDS; round++)
		for (way = 0; way < WAYS; way++) {
			int near = listens(), far = listens();
			pid_t child = fork();
			if (!child) {
				begin(atoi(argv[1]), far, near);
				for (;;)
					receives(), sends();
			}
			begin(atoi(argv[2]), near, far);
			for (int i = 0; i < TIMES; i++) {
				double began = now();
				sends(), receives();
				took[i] = now() - began;
			}
			kill(child, SIGKILL), waitpid(child, 0, 0);
			p50[way][round] = median(took, TIMES);
			asked[way] = (double)calls / TIMES;
			if (way != PLAIN)
				io_uring_queue_exit(&ring), free(buffers);
			close(near), close(far);
		}
	for (way = WAYS - 1; way >= 0; way--) {
		for (int round = 0; round < ROUNDS; round++)
			ratio[round] = p50[way][round] / p50[PLAIN][round];
		double r = median(ratio, ROUNDS);
		printf("%s: p50 %.2f us, %.2f of plain; %.1f system calls a round trip on one side\n", names[way], median(p50[way], ROUNDS) / 1e3, r, asked[way]);
	}
	return 0;
}
