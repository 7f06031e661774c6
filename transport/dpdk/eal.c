//go:build dpdk

#define _GNU_SOURCE
#define ALLOW_EXPERIMENTAL_API // rte_version_year, in 22.11
#include "port.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_lcore.h>
#include <rte_log.h>
#include <rte_timer.h>
#include <rte_version.h>

static struct {
	pthread_mutex_t lock;
	char text[8192];
	size_t len;
} words = {.lock = PTHREAD_MUTEX_INITIALIZER};

static ssize_t keep(void *cookie, const char *text, size_t len)
{
	size_t n = len;

	(void)cookie;
	pthread_mutex_lock(&words.lock);
	if (n > sizeof(words.text)) {
		text += n - sizeof(words.text);
		n = sizeof(words.text);
	}
	if (words.len + n > sizeof(words.text)) {
		size_t gone = words.len + n - sizeof(words.text);

		memmove(words.text, words.text + gone, words.len - gone);
		words.len -= gone;
	}
	memcpy(words.text + words.len, text, n);
	words.len += n;
	pthread_mutex_unlock(&words.lock);
	return len;
}

// peregrine_log_take moves at most size bytes to out and returns their number.
int peregrine_log_take(char *out, int size)
{
	size_t n;

	pthread_mutex_lock(&words.lock);
	n = words.len < (size_t)size ? words.len : (size_t)size;
	memcpy(out, words.text, n);
	words.len = 0;
	pthread_mutex_unlock(&words.lock);
	return n;
}

void peregrine_release(unsigned int *year, unsigned int *month, unsigned int *stable)
{
	*year = rte_version_year();
	*month = rte_version_month();
	*stable = rte_version_minor();
}

int peregrine_start(int argc, char **argv)
{
	FILE *f = fopencookie(NULL, "w", (cookie_io_functions_t){.write = keep});
	sigset_t pipe;
	int err;

	// Drivers write to the sockets of peers that may be dead. Go ends a program
	// that gets SIGPIPE on a thread not its own; EAL's inherit from this one.
	sigemptyset(&pipe);
	sigaddset(&pipe, SIGPIPE);
	pthread_sigmask(SIG_BLOCK, &pipe, NULL);
	if (f == NULL || rte_openlog_stream(f) != 0)
		return -ENOMEM;
	if (rte_eal_init(argc, argv) < 0)
		return rte_errno != 0 ? -rte_errno : -EINVAL;
	err = rte_timer_subsystem_init();
	return err == -EALREADY ? 0 : err;
}

// EAL reserves an lcore id for the thread that registers, and keeps it in that
// thread's storage. The control thread registers on behalf of queues, and takes
// its own id back.
int peregrine_lcore_reserve(void)
{
	unsigned int own = RTE_PER_LCORE(_lcore_id);
	int lcore = rte_thread_register() == 0 ? (int)RTE_PER_LCORE(_lcore_id) : -1;

	RTE_PER_LCORE(_lcore_id) = own;
	return lcore;
}

void peregrine_lcore_give_back(uint32_t lcore)
{
	unsigned int own = RTE_PER_LCORE(_lcore_id);

	RTE_PER_LCORE(_lcore_id) = lcore;
	rte_thread_unregister();
	RTE_PER_LCORE(_lcore_id) = own;
}
