//go:build dpdk

#include "port.h"

#include <errno.h>

#include <rte_flow.h>

#define END {.type = RTE_FLOW_ITEM_TYPE_END}

static int rule(uint16_t port, const struct rte_flow_item *pattern, const struct rte_flow_action *actions,
		const char **why)
{
	struct rte_flow_attr attr = {.ingress = 1};
	struct rte_flow_error error = {0};

	if (rte_flow_create(port, &attr, pattern, actions, &error) != NULL)
		return 0;
	*why = error.message != NULL ? error.message : "no reason given";
	return rte_errno != 0 ? -rte_errno : -EINVAL;
}

int peregrine_steer(uint16_t port, uint16_t queues, uint16_t udp_port, uint8_t *key, const char **why)
{
	uint16_t all[RTE_MAX_QUEUES_PER_PORT];
	struct rte_flow_action_queue first = {.index = 0};
	struct rte_flow_action_rss spread = {
		.types = RTE_ETH_RSS_NONFRAG_IPV4_UDP | RTE_ETH_RSS_NONFRAG_IPV6_UDP,
		.key = key, // else the driver takes one of its own
		.key_len = 40,
		.queue_num = queues,
		.queue = all,
	};
	struct rte_flow_action to_all[] = {
		{.type = RTE_FLOW_ACTION_TYPE_RSS, .conf = &spread},
		{.type = RTE_FLOW_ACTION_TYPE_END},
	};
	struct rte_flow_action to_first[] = {
		{.type = RTE_FLOW_ACTION_TYPE_QUEUE, .conf = &first},
		{.type = RTE_FLOW_ACTION_TYPE_END},
	};
	const struct rte_flow_action *spreading = queues > 1 ? to_all : to_first;
	struct rte_flow_item_udp ours = {.hdr.dst_port = rte_cpu_to_be_16(udp_port)};
	struct rte_flow_item_udp by_port = {.hdr.dst_port = 0xffff};
	struct rte_flow_item_eth arp = {.hdr.ether_type = rte_cpu_to_be_16(RTE_ETHER_TYPE_ARP)};
	struct rte_flow_item_eth by_type = {.hdr.ether_type = 0xffff};
	struct rte_flow_item udp4[] = {
		{.type = RTE_FLOW_ITEM_TYPE_ETH},
		{.type = RTE_FLOW_ITEM_TYPE_IPV4},
		{.type = RTE_FLOW_ITEM_TYPE_UDP, .spec = &ours, .mask = &by_port},
		END,
	};
	struct rte_flow_item udp6[] = {
		{.type = RTE_FLOW_ITEM_TYPE_ETH},
		{.type = RTE_FLOW_ITEM_TYPE_IPV6},
		{.type = RTE_FLOW_ITEM_TYPE_UDP, .spec = &ours, .mask = &by_port},
		END,
	};
	struct rte_flow_item arps[] = {
		{.type = RTE_FLOW_ITEM_TYPE_ETH, .spec = &arp, .mask = &by_type},
		END,
	};
	struct rte_flow_item icmp4[] = {
		{.type = RTE_FLOW_ITEM_TYPE_ETH},
		{.type = RTE_FLOW_ITEM_TYPE_IPV4},
		{.type = RTE_FLOW_ITEM_TYPE_ICMP},
		END,
	};
	struct rte_flow_item icmp6[] = {
		{.type = RTE_FLOW_ITEM_TYPE_ETH},
		{.type = RTE_FLOW_ITEM_TYPE_IPV6},
		{.type = RTE_FLOW_ITEM_TYPE_ICMP6},
		END,
	};
	int err;

	for (uint16_t q = 0; q < queues; q++)
		all[q] = q;
	if ((err = rule(port, udp4, spreading, why)) != 0 || (err = rule(port, udp6, spreading, why)) != 0)
		return err;
	if ((err = rule(port, arps, to_first, why)) != 0 || (err = rule(port, icmp4, to_first, why)) != 0)
		return err;
	return rule(port, icmp6, to_first, why);
}
