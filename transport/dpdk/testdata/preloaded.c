// Preloaded: what C closes though it is closed is told, and EAL's interrupt thread
// takes its time where a virtio-user device looks for the first time whether its
// peer is there still, as on a host that is busy.

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

ssize_t recv(int fd, void *buf, size_t len, int flags)
{
	static ssize_t (*real)(int, void *, size_t, int);
	static int held;
	char name[16] = "";

	if (real == NULL)
		real = dlsym(RTLD_NEXT, "recv");
	pthread_getname_np(pthread_self(), name, sizeof(name));
	if (!held && (strncmp(name, "eal-intr", 8) == 0 || strncmp(name, "dpdk-intr", 9) == 0)) {
		static const char said[] = "peeked\n";

		(void)!write(2, said, sizeof(said) - 1);
		held = 1;
		usleep(1500000);
	}
	return real(fd, buf, len, flags);
}

int close(int fd)
{
	static const char said[] = "closed twice\n";
	static int (*real)(int);
	int err;

	if (real == NULL)
		real = dlsym(RTLD_NEXT, "close");
	err = real(fd);
	if (err != 0 && errno == EBADF)
		(void)!write(2, said, sizeof(said) - 1);
	return err;
}
