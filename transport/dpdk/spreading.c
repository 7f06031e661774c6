//go:build dpdk

#include "spreading.h"

#include <stdlib.h>

#include <rte_ethdev.h>

int peregrine_hash_key(uint16_t port, uint8_t key[UINT8_MAX])
{
	struct rte_eth_rss_conf conf = {.rss_key = key, .rss_key_len = UINT8_MAX};

	return rte_eth_dev_rss_hash_conf_get(port, &conf);
}

uint16_t peregrine_table(uint16_t port, uint16_t *table, uint16_t size)
{
	struct rte_eth_rss_reta_entry64 *groups;
	struct rte_eth_dev_info info;
	uint16_t read = 0;

	if (rte_eth_dev_info_get(port, &info) != 0 || info.reta_size == 0 || info.reta_size > size)
		return 0;
	groups = calloc((info.reta_size - 1) / RTE_ETH_RETA_GROUP_SIZE + 1, sizeof(*groups));
	if (groups == NULL)
		return 0;
	for (uint16_t i = 0; i < info.reta_size; i++)
		groups[i / RTE_ETH_RETA_GROUP_SIZE].mask |= UINT64_C(1) << (i % RTE_ETH_RETA_GROUP_SIZE);
	if (rte_eth_dev_rss_reta_query(port, groups, info.reta_size) == 0) {
		read = info.reta_size;
		for (uint16_t i = 0; i < read; i++)
			table[i] = groups[i / RTE_ETH_RETA_GROUP_SIZE].reta[i % RTE_ETH_RETA_GROUP_SIZE];
	}
	free(groups);
	return read;
}
