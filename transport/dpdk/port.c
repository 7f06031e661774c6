//go:build dpdk

#define ALLOW_EXPERIMENTAL_API // rte_eth_dev_conf_get, in 22.11
#include "port.h"

#include <errno.h>
#include <string.h>

#include <rte_dev.h>

int peregrine_port_find(const char *device, uint16_t *port)
{
	struct rte_eth_dev_info info;
	uint16_t id;

	RTE_ETH_FOREACH_DEV(id) {
		if (rte_eth_dev_info_get(id, &info) == 0 && strcmp(rte_dev_name(info.device), device) == 0) {
			*port = id;
			return 0;
		}
	}
	return -ENODEV;
}

static uint64_t udp_hash(const struct rte_eth_dev_info *info)
{
	uint64_t udp = RTE_ETH_RSS_NONFRAG_IPV4_UDP | RTE_ETH_RSS_NONFRAG_IPV6_UDP;

	return info->flow_type_rss_offloads & udp;
}

#define TRY(what, call)                  \
	do {                             \
		int err_ = (call);       \
		*step = (what);          \
		if (err_ != 0)           \
			return err_;     \
	} while (0)

static int setup(struct peregrine_setup *s, const struct rte_eth_dev_info *info, const char **step)
{
	int socket = rte_eth_dev_socket_id(s->port);
	struct rte_eth_rxconf rx = info->default_rxconf;
	struct rte_eth_txconf tx = info->default_txconf;
	struct rte_eth_conf conf = {0};
	uint64_t rx_offloads = 0;
	int err;

	s->tx_offloads = RTE_ETH_TX_OFFLOAD_MBUF_FAST_FREE;
	if (s->checksums) {
		s->tx_offloads |= RTE_ETH_TX_OFFLOAD_UDP_CKSUM; // IPv4's is known beforehand
		rx_offloads |= RTE_ETH_RX_OFFLOAD_IPV4_CKSUM | RTE_ETH_RX_OFFLOAD_UDP_CKSUM;
	}
	s->tx_offloads &= info->tx_offload_capa;
	conf.txmode.offloads = s->tx_offloads;
	conf.rxmode.offloads = rx_offloads & info->rx_offload_capa;
	conf.rxmode.mtu = s->mtu;
	conf.intr_conf.rxq = s->interrupts;
	conf.intr_conf.lsc = (*info->dev_flags & RTE_ETH_DEV_INTR_LSC) != 0;
	if (s->queues > 1 && udp_hash(info) != 0) {
		conf.rxmode.mq_mode = RTE_ETH_MQ_RX_RSS;
		conf.rx_adv_conf.rss_conf.rss_hf = udp_hash(info);
		conf.rx_adv_conf.rss_conf.rss_key = s->key;
		conf.rx_adv_conf.rss_conf.rss_key_len = info->hash_key_size;
	}
	TRY("configure", rte_eth_dev_configure(s->port, s->queues, s->queues, &conf));
	TRY("ring sizes", rte_eth_dev_adjust_nb_rx_tx_desc(s->port, &s->rx_ring, &s->tx_ring));

	rx.offloads = 0; // what the port has, its queues have
	tx.offloads = 0;
	for (uint16_t q = 0; q < s->queues; q++) {
		TRY("receive queue", rte_eth_rx_queue_setup(s->port, q, s->rx_ring, socket, &rx, s->pools[q]));
		TRY("send queue", rte_eth_tx_queue_setup(s->port, q, s->tx_ring, socket, &tx));
	}
	err = rte_eth_dev_set_mtu(s->port, s->mtu);
	if (err != -ENOTSUP) // then configure has said all there is to say
		TRY("MTU", err);
	TRY("start", rte_eth_dev_start(s->port));
	return 0;
}

// peregrine_port_setup configures and starts a port, with receive interrupts if
// it can. Drivers refuse them as late as at start.
int peregrine_port_setup(struct peregrine_setup *s, const char **step)
{
	struct rte_eth_dev_info info;
	int err;

	TRY("information", rte_eth_dev_info_get(s->port, &info));
	err = setup(s, &info, step);
	if (err != 0 && s->interrupts) {
		peregrine_port_stop(s->port);
		s->interrupts = 0;
		err = setup(s, &info, step);
	}
	return err;
}

static int noted(uint16_t port, enum rte_eth_event_type type, void *arg, void *ret)
{
	struct peregrine_shared *shared = arg;
	uint32_t event = type == RTE_ETH_EVENT_INTR_RMV ? PEREGRINE_EVENT_REMOVED : PEREGRINE_EVENT_RESET;

	(void)port;
	(void)ret;
	__atomic_fetch_or(&shared->events, event, __ATOMIC_RELEASE);
	return 0;
}

int peregrine_port_watch(uint16_t port, struct peregrine_shared *shared)
{
	int err = rte_eth_dev_callback_register(port, RTE_ETH_EVENT_INTR_RESET, noted, shared);

	return err != 0 ? err : rte_eth_dev_callback_register(port, RTE_ETH_EVENT_INTR_RMV, noted, shared);
}

void peregrine_port_unwatch(uint16_t port, struct peregrine_shared *shared)
{
	rte_eth_dev_callback_unregister(port, RTE_ETH_EVENT_INTR_RESET, noted, shared);
	rte_eth_dev_callback_unregister(port, RTE_ETH_EVENT_INTR_RMV, noted, shared);
}

// peregrine_port_reset leaves the port as after probing: to be set up again.
int peregrine_port_reset(uint16_t port)
{
	int err = rte_eth_dev_reset(port);

	return err == -ENOTSUP ? peregrine_port_stop(port) : err;
}

// forgo_interrupts has a port that is to be closed forget its interrupts: with them
// virtio-user closes their descriptors twice, by then perhaps somebody else's.
static void forgo_interrupts(uint16_t port)
{
	struct rte_eth_dev_info info;
	struct rte_eth_conf conf;

	if (rte_eth_dev_info_get(port, &info) != 0 || strcmp(info.driver_name, "net_virtio_user") != 0 ||
	    rte_eth_dev_conf_get(port, &conf) != 0)
		return;
	memset(&conf.intr_conf, 0, sizeof(conf.intr_conf));
	rte_eth_dev_configure(port, info.nb_rx_queues, info.nb_tx_queues, &conf);
}

int peregrine_port_close(uint16_t port)
{
	struct rte_eth_dev_info info;
	int err;

	if ((err = rte_eth_dev_info_get(port, &info)) != 0)
		return err;
	peregrine_port_stop(port);
	forgo_interrupts(port);
	err = rte_eth_dev_close(port);
	if (rte_dev_is_probed(info.device)) // some drivers leave with their last port
		rte_dev_remove(info.device);
	return err;
}

void peregrine_port_link(uint16_t port, struct peregrine_link *l)
{
	struct rte_eth_link link = {0};

	if (rte_eth_link_get_nowait(port, &link) != 0)
		link.link_status = RTE_ETH_LINK_DOWN;
	l->up = link.link_status == RTE_ETH_LINK_UP;
	l->mbps = link.link_speed;
}
