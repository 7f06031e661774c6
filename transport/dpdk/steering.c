//go:build dpdk

#include "steering.h"

#include <errno.h>
#include <string.h>

#include <rte_ethdev.h>
#include <rte_flow.h>

#define END {.type = RTE_FLOW_ITEM_TYPE_END}

static int failed(struct rte_flow_error *error, const char **why)
{
	*why = error->message != NULL ? error->message : "no reason given";
	return rte_errno != 0 ? -rte_errno : -EINVAL;
}

static int rule(uint16_t port, const struct rte_flow_item *pattern, const struct rte_flow_action *actions,
		const char **why)
{
	struct rte_flow_attr attr = {.ingress = 1};
	struct rte_flow_error error = {0};

	return rte_flow_create(port, &attr, pattern, actions, &error) != NULL ? 0 : failed(&error, why);
}

static int to_first_queue(uint16_t port, const struct rte_flow_item *pattern, const char **why)
{
	struct rte_flow_action_queue first = {.index = 0};
	struct rte_flow_action actions[] = {
		{.type = RTE_FLOW_ACTION_TYPE_QUEUE, .conf = &first},
		{.type = RTE_FLOW_ACTION_TYPE_END},
	};

	return rule(port, pattern, actions, why);
}

int peregrine_isolate(uint16_t port, const char **why)
{
	struct rte_flow_error error = {0};

	return rte_flow_isolate(port, 1, &error) == 0 ? 0 : failed(&error, why);
}

void peregrine_steer_nothing(uint16_t port)
{
	rte_flow_flush(port, NULL);
}

int peregrine_steer_udp(uint16_t port, bool six, uint16_t udp_port, uint16_t queues, uint8_t *key, const char **why)
{
	struct rte_flow_item_udp ours = {.hdr.dst_port = rte_cpu_to_be_16(udp_port)};
	struct rte_flow_item_udp by_port = {.hdr.dst_port = 0xffff};
	struct rte_flow_item pattern[] = {
		{.type = RTE_FLOW_ITEM_TYPE_ETH},
		{.type = six ? RTE_FLOW_ITEM_TYPE_IPV6 : RTE_FLOW_ITEM_TYPE_IPV4},
		{.type = RTE_FLOW_ITEM_TYPE_UDP, .spec = &ours, .mask = &by_port},
		END,
	};
	uint16_t all[RTE_MAX_QUEUES_PER_PORT];
	struct rte_flow_action_rss spread = {
		.types = six ? RTE_ETH_RSS_NONFRAG_IPV6_UDP : RTE_ETH_RSS_NONFRAG_IPV4_UDP,
		.key = key, // else the driver takes one of its own
		.key_len = 40,
		.queue_num = queues,
		.queue = all,
	};
	struct rte_flow_action actions[] = {
		{.type = RTE_FLOW_ACTION_TYPE_RSS, .conf = &spread},
		{.type = RTE_FLOW_ACTION_TYPE_END},
	};

	if (queues == 1)
		return to_first_queue(port, pattern, why);
	for (uint16_t q = 0; q < queues; q++)
		all[q] = q;
	return rule(port, pattern, actions, why);
}

int peregrine_steer_arp(uint16_t port, const char **why)
{
	struct rte_flow_item_eth arp = {.hdr.ether_type = rte_cpu_to_be_16(RTE_ETHER_TYPE_ARP)};
	struct rte_flow_item_eth by_type = {.hdr.ether_type = 0xffff};
	struct rte_flow_item pattern[] = {
		{.type = RTE_FLOW_ITEM_TYPE_ETH, .spec = &arp, .mask = &by_type},
		END,
	};

	return to_first_queue(port, pattern, why);
}

int peregrine_steer_icmp(uint16_t port, bool six, const uint8_t *address, const char **why)
{
	struct rte_flow_item_ipv4 four = {0}, by_four = {0};
	struct rte_flow_item_ipv6 sixteen = {0}, by_sixteen = {0};
	struct rte_flow_item pattern[] = {
		{.type = RTE_FLOW_ITEM_TYPE_ETH},
		{.type = RTE_FLOW_ITEM_TYPE_IPV4, .spec = &four, .mask = &by_four},
		{.type = RTE_FLOW_ITEM_TYPE_ICMP},
		END,
	};

	if (six) {
		memcpy(&sixteen.hdr.dst_addr, address, 16);
		memset(&by_sixteen.hdr.dst_addr, 0xff, 16);
		pattern[1] = (struct rte_flow_item){.type = RTE_FLOW_ITEM_TYPE_IPV6, .spec = &sixteen, .mask = &by_sixteen};
		pattern[2] = (struct rte_flow_item){.type = RTE_FLOW_ITEM_TYPE_ICMP6};
	} else {
		memcpy(&four.hdr.dst_addr, address, 4);
		by_four.hdr.dst_addr = 0xffffffff;
	}
	return to_first_queue(port, pattern, why);
}
