//go:build dpdk

#include "burst.h"

#include <stdlib.h>
#include <string.h>

#include <rte_epoll.h>
#include <rte_ethdev.h>
#include <rte_lcore.h>
#include <rte_prefetch.h>

// A mempool keeps a cache of objects for each lcore, and a driver uses that of
// the calling thread. Go's threads are no lcores, and an owner may change
// threads; so each queue has an lcore of its own, and the thread takes its
// identity while it is in here. Only one owner is in a queue at a time, hence
// one thread in a cache.
//
// enter fails while the port is being reset. The store of inside and the load of
// down need no fence here: whoever sets down has every thread pass one, by
// membarrier, before it looks at inside.
static inline int enter(struct peregrine_burst *b)
{
	__atomic_store_n(b->inside, 1, __ATOMIC_RELAXED);
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	if (__atomic_load_n(b->down, __ATOMIC_ACQUIRE)) {
		__atomic_store_n(b->inside, 0, __ATOMIC_RELEASE);
		return 0;
	}
	RTE_PER_LCORE(_lcore_id) = b->lcore;
	return 1;
}

static inline void leave(struct peregrine_burst *b)
{
	RTE_PER_LCORE(_lcore_id) = LCORE_ID_ANY;
	__atomic_store_n(b->inside, 0, __ATOMIC_RELEASE);
}

// What is given back is in the state in which pools keep mbufs: alone, with one
// reference. peregrine_receive saw to that, and a chain never gets to Go whole.
static inline void give_back(struct peregrine_burst *b)
{
	if (b->back_count > 0) {
		rte_mempool_put_bulk(b->pool, (void **)b->back, b->back_count);
		b->back_count = 0;
	}
}

// mbuf_of finds the mbuf of lent memory, lent_of the reverse.
static inline struct rte_mbuf *mbuf_of(uint8_t *data)
{
	return (struct rte_mbuf *)(data - PEREGRINE_LENT);
}

static inline uint8_t *lent_of(struct rte_mbuf *m)
{
	return (uint8_t *)m + PEREGRINE_LENT;
}

// lend fills lent from the pool, without a look at the mbufs: peregrine_send sets
// what a pool does not keep.
// The peer's core has read the last packets in this memory: fetched for writing
// meanwhile, it does not hold up the stores to the next ones. Small packets write
// to two lines, since headers are on the one before.
#ifdef __x86_64__
__attribute__((target("prfchw"))) // or it is fetched for reading
#endif
static void lend(struct peregrine_burst *b)
{
	struct rte_mbuf *m[PEREGRINE_BURST];
	uint32_t n = PEREGRINE_BURST - b->lent_count;

	if (n == 0)
		return;
	if (unlikely(rte_mempool_get_bulk(b->pool, (void **)m, n) != 0)) {
		// Drivers keep what they sent until they need the room. One is enough to
		// go on.
		rte_eth_tx_done_cleanup(b->port, b->queue, 0);
		n = 1;
		if (rte_mempool_get(b->pool, (void **)m) != 0)
			return;
	}
	for (uint32_t i = 0; i < n; i++) {
		uint8_t *data = lent_of(m[i]);

		b->lent[b->lent_count++] = data;
		__builtin_prefetch(data - RTE_CACHE_LINE_SIZE, 1);
		__builtin_prefetch(data, 1);
	}
}

// checks is what the device found right. What it found wrong is looked at again:
// some call a checksum wrong that only covers the pseudo-header.
static inline uint32_t checks(uint64_t flags)
{
	uint64_t ip = flags & RTE_MBUF_F_RX_IP_CKSUM_MASK, l4 = flags & RTE_MBUF_F_RX_L4_CKSUM_MASK;
	uint32_t seen = 0;

	if (ip == RTE_MBUF_F_RX_IP_CKSUM_GOOD)
		seen |= PEREGRINE_RX_IP_GOOD;
	// NONE is not computed, since the packet never left the host.
	if (l4 == RTE_MBUF_F_RX_L4_CKSUM_GOOD || l4 == RTE_MBUF_F_RX_L4_CKSUM_NONE)
		seen |= PEREGRINE_RX_L4_GOOD;
	return seen;
}

uint32_t peregrine_receive(uintptr_t burst, uint32_t n)
{
	struct peregrine_burst *b = (struct peregrine_burst *)burst;
	struct rte_mbuf *m[PEREGRINE_BURST];

	if (!enter(b))
		return 0;
	give_back(b);
	n = rte_eth_rx_burst(b->port, b->queue, m, n);
	for (uint32_t i = 0; i < n; i++) {
		struct peregrine_rx *rx = &b->rx[i];

		rx->mbuf = m[i];
		rx->data = rte_pktmbuf_mtod(m[i], uint8_t *);
		rte_prefetch0(rx->data); // a small call is in the first two lines
		rte_prefetch0(rx->data + RTE_CACHE_LINE_SIZE);
		rx->len = m[i]->data_len;
		rx->flags = checks(m[i]->ol_flags);
		if (unlikely(m[i]->nb_segs > 1)) {
			rx->flags |= PEREGRINE_RX_CHAINED;
			rte_pktmbuf_free(m[i]->next);
			m[i]->next = NULL;
			m[i]->nb_segs = 1;
		}
	}
	leave(b);
	return n;
}

uint32_t peregrine_send(uintptr_t burst, uint32_t n)
{
	struct peregrine_burst *b = (struct peregrine_burst *)burst;
	struct rte_mbuf *m[PEREGRINE_BURST];

	if (!enter(b))
		return 0;
	for (uint32_t i = 0; i < n; i++) {
		struct peregrine_tx *tx = &b->tx[i];

		m[i] = mbuf_of(tx->data);
		m[i]->data_off = RTE_PKTMBUF_HEADROOM - tx->head;
		m[i]->port = b->port;
		m[i]->data_len = tx->len;
		m[i]->pkt_len = tx->len;
		m[i]->ol_flags = tx->flags;
		m[i]->tx_offload = rte_mbuf_tx_offload(tx->l2, tx->l3, 0, 0, 0, 0, 0);
	}
	if (b->prepare && rte_eth_tx_prepare(b->port, b->queue, m, n) == 0) {
		rte_pktmbuf_free(m[0]);
		b->refused++;
		n = 1;
	} else {
		n = rte_eth_tx_burst(b->port, b->queue, m, n);
	}
	lend(b);
	leave(b);
	return n;
}

void peregrine_lend(struct peregrine_burst *b)
{
	if (enter(b)) {
		lend(b);
		leave(b);
	}
}

// The next two touch the pool only, which a reset leaves alone.

void peregrine_give_back(struct peregrine_burst *b)
{
	RTE_PER_LCORE(_lcore_id) = b->lcore;
	give_back(b);
	RTE_PER_LCORE(_lcore_id) = LCORE_ID_ANY;
}

struct peregrine_burst *peregrine_open(uint16_t port, uint16_t queue, uint32_t lcore, struct rte_mempool *pool,
				       uint32_t *down, uint32_t *inside, uint32_t prepare)
{
	struct peregrine_burst *b;

	if (posix_memalign((void **)&b, 64, sizeof(*b)) != 0)
		return NULL;
	memset(b, 0, sizeof(*b));
	b->port = port;
	b->queue = queue;
	b->lcore = lcore;
	b->pool = pool;
	b->down = down;
	b->inside = inside;
	b->prepare = prepare;
	return b;
}

void peregrine_close(struct peregrine_burst *b)
{
	struct rte_mempool_cache *cache = rte_mempool_default_cache(b->pool, b->lcore);

	RTE_PER_LCORE(_lcore_id) = b->lcore;
	give_back(b);
	while (b->lent_count > 0)
		rte_pktmbuf_free(mbuf_of(b->lent[--b->lent_count]));
	if (cache != NULL)
		rte_mempool_cache_flush(cache, b->pool);
	RTE_PER_LCORE(_lcore_id) = LCORE_ID_ANY;
	free(b);
}

// peregrine_interrupts adds the queue's interrupt to an epoll instance.
int peregrine_interrupts(struct peregrine_burst *b, int epoll)
{
	return rte_eth_dev_rx_intr_ctl_q(b->port, b->queue, epoll, RTE_INTR_EVENT_ADD, NULL);
}

int peregrine_arm(struct peregrine_burst *b)
{
	int err = -1;

	if (enter(b)) {
		err = rte_eth_dev_rx_intr_enable(b->port, b->queue);
		// The caller looks again for what came before. Drivers only store.
		__atomic_thread_fence(__ATOMIC_SEQ_CST);
		leave(b);
	}
	return err;
}

// peregrine_disarm takes in the interrupts that have come, as their kind demands.
void peregrine_disarm(struct peregrine_burst *b, int epoll)
{
	struct rte_epoll_event event;

	if (enter(b)) {
		rte_eth_dev_rx_intr_disable(b->port, b->queue);
		leave(b);
	}
	while (rte_epoll_wait(epoll, &event, 1, 0) > 0)
		;
}
