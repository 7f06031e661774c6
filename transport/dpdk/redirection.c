//go:build dpdk

#include "redirection.h"

#include <string.h>

#include <rte_ethdev.h>

int peregrine_redirection(uint16_t port, uint16_t *table, uint16_t size)
{
	struct rte_eth_rss_reta_entry64 groups[RTE_ETH_RSS_RETA_SIZE_512 / RTE_ETH_RETA_GROUP_SIZE];
	struct rte_eth_dev_info info;

	if (rte_eth_dev_info_get(port, &info) != 0 || info.reta_size == 0 || info.reta_size > size)
		return 0;
	memset(groups, 0, sizeof(groups));
	for (uint16_t i = 0; i < info.reta_size; i++)
		groups[i / RTE_ETH_RETA_GROUP_SIZE].mask |= UINT64_C(1) << (i % RTE_ETH_RETA_GROUP_SIZE);
	if (rte_eth_dev_rss_reta_query(port, groups, info.reta_size) != 0)
		return 0;
	for (uint16_t i = 0; i < info.reta_size; i++)
		table[i] = groups[i / RTE_ETH_RETA_GROUP_SIZE].reta[i % RTE_ETH_RETA_GROUP_SIZE];
	return info.reta_size;
}
