// A network card for tests: what of a real one no virtual device has, put in front of
// net_null. It is preloaded, so that its functions are found before DPDK's own, which
// they call for the rest. NIC_* say what the card is; what it was told is in NIC_LOG.

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_dev.h>
#include <rte_errno.h>
#include <rte_ethdev.h>
#include <rte_flow.h>

#define BEHIND "net_null0"
#define REAL(name) __typeof__(&name) real = (__typeof__(&name))dlsym(RTLD_NEXT, #name)

static uint16_t queues;
static uint8_t key[UINT8_MAX];
static rte_eth_dev_cb_fn report;
static void *reported;
static int looks;

static const char *card(const char *what)
{
	const char *value = getenv(what);

	return value != NULL ? value : "";
}

static int number(const char *what, int otherwise)
{
	return *card(what) != '\0' ? atoi(card(what)) : otherwise;
}

__attribute__((format(printf, 1, 2))) static void note(const char *format, ...)
{
	FILE *f = fopen(card("NIC_LOG"), "a");
	va_list args;

	if (f == NULL)
		return;
	va_start(args, format);
	vfprintf(f, format, args);
	va_end(args);
	fputc('\n', f);
	fclose(f);
}

int rte_dev_probe(const char *devargs)
{
	REAL(rte_dev_probe);

	note("probe %s", devargs);
	return real(BEHIND);
}

const char *rte_dev_name(const struct rte_device *device)
{
	REAL(rte_dev_name);
	const char *name = real(device);

	return strcmp(name, BEHIND) == 0 ? card("NIC_NAME") : name;
}

int rte_eth_dev_info_get(uint16_t port, struct rte_eth_dev_info *info)
{
	REAL(rte_eth_dev_info_get);
	int err = real(port, info);

	if (err != 0)
		return err;
	info->driver_name = card("NIC_DRIVER");
	info->max_rx_queues = info->max_tx_queues = number("NIC_QUEUES", 8);
	info->reta_size = number("NIC_TABLE", 128);
	info->hash_key_size = number("NIC_KEY_SIZE", 40);
	info->rx_offload_capa |= strtoull(card("NIC_RX_OFFLOADS"), NULL, 0);
	info->tx_offload_capa |= strtoull(card("NIC_TX_OFFLOADS"), NULL, 0);
	return 0;
}

int rte_eth_dev_configure(uint16_t port, uint16_t rx, uint16_t tx, const struct rte_eth_conf *conf)
{
	REAL(rte_eth_dev_configure);
	struct rte_eth_conf least = *conf;

	note("configure %u queues, rx %s%s, tx %s, rss %d", rx, conf->rxmode.offloads & RTE_ETH_RX_OFFLOAD_IPV4_CKSUM ? "ip " : "",
	     conf->rxmode.offloads & RTE_ETH_RX_OFFLOAD_UDP_CKSUM ? "udp" : "",
	     conf->txmode.offloads & RTE_ETH_TX_OFFLOAD_UDP_CKSUM ? "udp" : "", conf->rxmode.mq_mode == RTE_ETH_MQ_RX_RSS);
	queues = rx;
	if (conf->rx_adv_conf.rss_conf.rss_key != NULL)
		memcpy(key, conf->rx_adv_conf.rss_conf.rss_key, conf->rx_adv_conf.rss_conf.rss_key_len);
	least.rxmode.offloads = 0;
	least.rxmode.mq_mode = RTE_ETH_MQ_RX_NONE;
	memset(&least.rx_adv_conf, 0, sizeof(least.rx_adv_conf));
	least.txmode.offloads = 0;
	return real(port, 1, 1, &least);
}

int rte_eth_rx_queue_setup(uint16_t port, uint16_t queue, uint16_t ring, unsigned int socket, const struct rte_eth_rxconf *conf,
			   struct rte_mempool *pool)
{
	REAL(rte_eth_rx_queue_setup);

	return queue == 0 ? real(port, queue, ring, socket, conf, pool) : 0;
}

int rte_eth_tx_queue_setup(uint16_t port, uint16_t queue, uint16_t ring, unsigned int socket, const struct rte_eth_txconf *conf)
{
	REAL(rte_eth_tx_queue_setup);

	return queue == 0 ? real(port, queue, ring, socket, conf) : 0;
}

int rte_eth_dev_rss_hash_conf_get(uint16_t port, struct rte_eth_rss_conf *conf)
{
	(void)port;
	if (strcmp(card("NIC_KEY"), "fixed") == 0)
		return -ENOTSUP;
	memcpy(conf->rss_key, key, conf->rss_key_len < sizeof(key) ? conf->rss_key_len : sizeof(key));
	if (strcmp(card("NIC_KEY"), "other") == 0)
		memset(conf->rss_key, 0x3c, 40);
	return 0;
}

int rte_eth_dev_rss_reta_query(uint16_t port, struct rte_eth_rss_reta_entry64 *groups, uint16_t size)
{
	(void)port;
	if (size != number("NIC_TABLE", 128))
		return -EINVAL;
	for (uint16_t i = 0; i < size; i++)
		if (groups[i / 64].mask >> (i % 64) & 1)
			groups[i / 64].reta[i % 64] = i % queues;
	return 0;
}

int rte_eth_dev_callback_register(uint16_t port, enum rte_eth_event_type event, rte_eth_dev_cb_fn f, void *arg)
{
	REAL(rte_eth_dev_callback_register);

	report = f;
	reported = arg;
	return real(port, event, f, arg);
}

// The link, which is looked at again and again, is the card's clock.
int rte_eth_link_get_nowait(uint16_t port, struct rte_eth_link *link)
{
	REAL(rte_eth_link_get_nowait);
	int err = real(port, link);

	if (++looks <= number("NIC_LINK_AFTER", 0))
		link->link_status = RTE_ETH_LINK_DOWN;
	if (looks == number("NIC_RESET_AT", 0))
		report(port, RTE_ETH_EVENT_INTR_RESET, reported, NULL);
	return err;
}

int rte_eth_dev_reset(uint16_t port)
{
	static int resets;
	REAL(rte_eth_dev_reset);

	if (resets++ < number("NIC_RESETS_FAIL", 0)) {
		note("reset fails");
		return -EIO;
	}
	note("reset");
	return real(port);
}

int rte_eth_dev_start(uint16_t port)
{
	REAL(rte_eth_dev_start);

	note("start");
	return real(port);
}

int rte_eth_dev_default_mac_addr_set(uint16_t port, struct rte_ether_addr *mac)
{
	(void)port;
	(void)mac;
	return -ENOTSUP;
}

int rte_flow_isolate(uint16_t port, int set, struct rte_flow_error *error)
{
	(void)port;
	note("isolate %d", set);
	if (*card("NIC_FLOWS") != '\0')
		return 0;
	error->message = "no rules";
	rte_errno = ENOTSUP;
	return -rte_errno;
}

int rte_flow_flush(uint16_t port, struct rte_flow_error *error)
{
	(void)port;
	(void)error;
	return 0;
}

static void bytes(char *out, const void *from, int n)
{
	for (int i = 0; i < n; i++)
		sprintf(out + strlen(out), "%02x", ((const uint8_t *)from)[i]);
}

struct rte_flow *rte_flow_create(uint16_t port, const struct rte_flow_attr *attr, const struct rte_flow_item *item,
				 const struct rte_flow_action *action, struct rte_flow_error *error)
{
	char said[512] = "";
	int icmp = 0;

	(void)port;
	for (; item->type != RTE_FLOW_ITEM_TYPE_END; item++) {
		const struct rte_flow_item_ipv4 *four = item->spec;
		const struct rte_flow_item_ipv6 *six = item->spec;
		const struct rte_flow_item_udp *udp = item->spec;
		const struct rte_flow_item_eth *eth = item->spec;

		switch (item->type) {
		case RTE_FLOW_ITEM_TYPE_ETH:
			if (eth != NULL)
				bytes(strcat(said, "type "), &eth->hdr.ether_type, 2);
			break;
		case RTE_FLOW_ITEM_TYPE_IPV4:
			strcat(said, "ipv4 ");
			if (four != NULL)
				bytes(said, &four->hdr.dst_addr, 4);
			break;
		case RTE_FLOW_ITEM_TYPE_IPV6:
			strcat(said, "ipv6 ");
			if (six != NULL)
				bytes(said, &six->hdr.dst_addr, 16);
			break;
		case RTE_FLOW_ITEM_TYPE_UDP:
			bytes(strcat(said, "udp "), &udp->hdr.dst_port, 2);
			break;
		default:
			icmp = 1;
			strcat(said, item->type == RTE_FLOW_ITEM_TYPE_ICMP6 ? " icmp6" : " icmp");
		}
	}
	if (icmp && strcmp(card("NIC_FLOWS"), "verbs") == 0) {
		error->message = "item not supported";
		rte_errno = ENOTSUP;
		return NULL;
	}
	if (action->type == RTE_FLOW_ACTION_TYPE_RSS)
		note("rule %s to %u queues", said, ((const struct rte_flow_action_rss *)action->conf)->queue_num);
	else
		note("rule %s to queue %u", said, ((const struct rte_flow_action_queue *)action->conf)->index);
	return (struct rte_flow *)(uintptr_t)attr;
}
