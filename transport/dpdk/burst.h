// What Go and C share of one queue: burst.go mirrors this layout, and
// burst_cgo.go proves at compile time that it does.

#ifndef PEREGRINE_BURST_H
#define PEREGRINE_BURST_H

#include <stdint.h>

#include <rte_mbuf.h>
#include <rte_mempool.h>

#define PEREGRINE_BURST 64

// Flags of a received frame: what the device has verified (the numbers are those
// of netstack.Checked), and whether it came in pieces.
enum {
	PEREGRINE_RX_IP_GOOD = 1,
	PEREGRINE_RX_L4_GOOD = 2,
	PEREGRINE_RX_CHAINED = 4,
};

// How far behind its mbuf lent memory begins: pools have no private area.
enum { PEREGRINE_LENT = sizeof(struct rte_mbuf) + RTE_PKTMBUF_HEADROOM };

struct peregrine_rx {
	struct rte_mbuf *mbuf;
	uint8_t *data;
	uint32_t len;
	uint32_t flags;
};

struct peregrine_tx {
	uint8_t *data; // lent memory; the headers are in front of it
	uint64_t flags; // RTE_MBUF_F_TX_*
	uint32_t len;  // of headers and data
	uint16_t head; // of headers
	uint8_t l2, l3; // of the first two of them
};

struct peregrine_burst {
	uint16_t port, queue;
	uint32_t lcore;
	struct rte_mempool *pool;
	uint32_t *down;	  // set while the port must not be touched
	uint32_t *inside; // set while the owner is in here

	uint32_t prepare; // rte_eth_tx_prepare is needed
	uint32_t lent_count, back_count;
	uint32_t refused; // packets that tx_prepare found wrong; they are taken

	struct peregrine_rx rx[PEREGRINE_BURST];
	struct peregrine_tx tx[PEREGRINE_BURST];
	uint8_t *lent[PEREGRINE_BURST]; // transmit memory at hand
	struct rte_mbuf *back[PEREGRINE_BURST]; // received, to be freed
};

// For the queue's owner, who calls one at a time. The two that a poll loop calls
// take the burst as a number: Go checks pointers, at some nanoseconds each.
struct peregrine_burst *peregrine_open(uint16_t port, uint16_t queue, uint32_t lcore, struct rte_mempool *pool,
				       uint32_t *down, uint32_t *inside, uint32_t prepare);
uint32_t peregrine_receive(uintptr_t burst, uint32_t n);
uint32_t peregrine_send(uintptr_t burst, uint32_t n);
void peregrine_lend(struct peregrine_burst *b);
void peregrine_give_back(struct peregrine_burst *b);
void peregrine_close(struct peregrine_burst *b);

int peregrine_interrupts(struct peregrine_burst *b, int epoll);
int peregrine_arm(struct peregrine_burst *b);
void peregrine_disarm(struct peregrine_burst *b, int epoll);

#endif
