// What Go asks of EAL and of ports. All of it runs on the control thread, but
// for the log, which any thread writes.

#ifndef PEREGRINE_PORT_H
#define PEREGRINE_PORT_H

#include <stdint.h>

#include <rte_ethdev.h>
#include <rte_mempool.h>

// rte_eal_init, with the log diverted. Returns 0 or -errno.
int peregrine_start(int argc, char **argv);

// The version of the library that runs.
void peregrine_release(unsigned int *year, unsigned int *month, unsigned int *stable);

// EAL's last words, from one take to the next.
int peregrine_log_take(char *out, int size);

// Lcore ids for threads that EAL does not know; -1 if none is left.
int peregrine_lcore_reserve(void);
void peregrine_lcore_give_back(uint32_t lcore);

// What is asked of a port, and what of it was obtained.
struct peregrine_setup {
	uint16_t port;
	uint16_t queues;
	uint16_t rx_ring, tx_ring; // in: wished; out: obtained
	uint16_t mtu;
	uint8_t checksums;  // in: offload what the device can
	uint8_t interrupts; // in: wished; out: obtained
	uint8_t *key;	    // for RSS; any length that devices want is a prefix
	struct rte_mempool **pools;

	uint64_t tx_offloads; // out
};

// Flags between the control thread, a driver's callback and the queues' owners.
// Each queue has a cache line of its own.
struct peregrine_inside {
	uint32_t inside; // set while the owner may touch the device
} __rte_cache_aligned;

struct peregrine_shared {
	uint32_t down;	 // set while nobody may
	uint32_t events; // PEREGRINE_EVENT_*
	struct peregrine_inside queue[];
};

enum {
	PEREGRINE_EVENT_RESET = 1,
	PEREGRINE_EVENT_REMOVED = 2,
};

// All return 0 or -errno. *step names the call that failed.
int peregrine_port_find(const char *device, uint16_t *port);
int peregrine_port_setup(struct peregrine_setup *s, const char **step);
int peregrine_port_watch(uint16_t port, struct peregrine_shared *shared);
void peregrine_port_unwatch(uint16_t port, struct peregrine_shared *shared);
int peregrine_port_stop(uint16_t port);
int peregrine_port_reset(uint16_t port);
int peregrine_port_close(uint16_t port);

// The link; a struct, since the real one has bit fields.
struct peregrine_link {
	uint32_t up, mbps;
};
void peregrine_port_link(uint16_t port, struct peregrine_link *l);

#endif
