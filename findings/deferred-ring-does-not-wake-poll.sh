#!/usr/bin/env bash
# Who sleeps in poll() or epoll_wait() on an io_uring with DEFER_TASKRUN is not woken when there is something to reap.
#
# Expected: a ring's descriptor polls as readable while there are completions, so that it can sit in an event loop. With
# IORING_SETUP_DEFER_TASKRUN, work waits until the thread enters the ring; io_uring_setup(2) asks it to do so now and then
# "or else completions may not be delivered". An event loop does so when it is told: that there is work should wake it,
# as it does an eventfd registered with the ring, and as poll() itself says "readable" when it is called after the event.
#
# Seen (Linux 6.18.44, liburing 2.3, 2026-11-28): a receive is under way, its owner sleeps on the ring's descriptor, and a
# datagram comes after 100 ms. poll() sleeps on; when its timeout has passed it looks once more, and reports readable.
# epoll_wait() ends with its timeout and no event. Without a timeout both sleep for ever. The eventfd wakes at once.
#
#   no flags, poll: woken
#   no flags, epoll: woken
#   no flags, poll of an eventfd: woken
#   DEFER_TASKRUN, poll: readable after the timeout
#   DEFER_TASKRUN, epoll: no event
#   DEFER_TASKRUN, poll of an eventfd: woken
#
# Needs gcc, apt and an io_uring that is not turned off.
set -euo pipefail

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
apt-get -qq -o APT::Sandbox::User=root download liburing-dev=2.3-3 liburing2=2.3-3
for package in *.deb; do dpkg -x "$package" .; done
lib=$(dirname "$(find . -name liburing.a)")

cat >sleep.c <<'C'
#include <arpa/inet.h>
#include <errno.h>
#include <liburing.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

enum { POLL, EPOLL, EVENTFD };

static struct sockaddr_in to;
static int tx;

static void *send_soon(void *unused) {
	usleep(100 * 1000);
	sendto(tx, "x", 1, 0, (void *)&to, sizeof to);
	return unused;
}

static long now(void) {
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* how many descriptors are ready, after timeout ms at most; signals do not count */
static int wait_for(int how, int fd, long timeout) {
	struct pollfd p = {.fd = fd, .events = POLLIN};
	struct epoll_event e = {.events = EPOLLIN};
	int n, ep = epoll_create1(0);
	epoll_ctl(ep, EPOLL_CTL_ADD, fd, &e);
	for (long end = now() + timeout; (n = how == EPOLL ? epoll_wait(ep, &e, 1, end - now()) : poll(&p, 1, end - now())) < 0 && errno == EINTR;)
		;
	close(ep);
	return n;
}

int main(void) {
	static const struct { const char *name; unsigned flags; } setups[] = {
		{"no flags", 0}, {"DEFER_TASKRUN", IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN}};
	static const char *ways[] = {"poll", "epoll", "poll of an eventfd"};
	tx = socket(AF_INET, SOCK_DGRAM, 0);
	for (int s = 0; s < 2; s++)
		for (int how = POLL; how <= EVENTFD; how++) {
			struct io_uring ring;
			socklen_t len = sizeof to;
			char byte;
			pthread_t sender;
			int rx = socket(AF_INET, SOCK_DGRAM, 0), bell = eventfd(0, 0);
			to = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
			if (io_uring_queue_init(8, &ring, setups[s].flags) || bind(rx, (void *)&to, len) ||
			    getsockname(rx, (void *)&to, &len) || (how == EVENTFD && io_uring_register_eventfd(&ring, bell)))
				return perror("set-up"), 1;
			io_uring_prep_recv(io_uring_get_sqe(&ring), rx, &byte, 1, 0);
			io_uring_submit(&ring);
			pthread_create(&sender, 0, send_soon, 0);
			long began = now();
			int n = wait_for(how, how == EVENTFD ? bell : ring.ring_fd, 3000);
			printf("%s, %s: %s\n", setups[s].name, ways[how], !n ? "no event" : now() - began < 2900 ? "woken" : "readable after the timeout");
			pthread_join(sender, 0);
			io_uring_queue_exit(&ring);
			close(rx), close(bell);
		}
	return 0;
}
C
gcc -O1 -I usr/include -o sleep sleep.c "$lib/liburing.a" -lpthread
./sleep | tee seen
diff seen - <<'SEEN' || { echo "this has changed"; exit 1; }
no flags, poll: woken
no flags, epoll: woken
no flags, poll of an eventfd: woken
DEFER_TASKRUN, poll: readable after the timeout
DEFER_TASKRUN, epoll: no event
DEFER_TASKRUN, poll of an eventfd: woken
SEEN
