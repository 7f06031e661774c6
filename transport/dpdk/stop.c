//go:build dpdk

#include "port.h"

#include <errno.h>
#include <semaphore.h>
#include <string.h>

#include <rte_alarm.h>

// A virtio-user device's interrupts come from the socket that it talks over: when
// its peer leaves, say. As the device stops it takes them off, but gives up without
// a word if EAL's interrupt thread is inside them (22.11; by its source 26.11-rc0,
// too). The socket is then closed all the same, and EAL aborts the process at the
// next device. So that very thread stops it, in an alarm, when it is inside nothing.

struct stop {
	uint16_t port;
	int turns; // that alarms set before still need
	int err;
	sem_t done;
};

static void stop_in_turn(void *arg)
{
	struct stop *s = arg;

	// A device that sees its peer leave sets an alarm, which changes its
	// interrupts; what came until then may have set more.
	if (s->turns-- > 0 && rte_eal_alarm_set(1, stop_in_turn, s) == 0)
		return;
	s->err = rte_eth_dev_stop(s->port);
	sem_post(&s->done);
}

int peregrine_port_stop(uint16_t port)
{
	struct stop s = {.port = port, .turns = 2};
	struct rte_eth_dev_info info;
	struct rte_eth_link link;

	if (rte_eth_dev_info_get(port, &info) != 0 || strcmp(info.driver_name, "net_virtio_user") != 0)
		return rte_eth_dev_stop(port);
	(void)rte_eth_link_get_nowait(port, &link); // it sees now that its peer left
	sem_init(&s.done, 0, 0);
	if (rte_eal_alarm_set(1, stop_in_turn, &s) != 0)
		return rte_eth_dev_stop(port);
	while (sem_wait(&s.done) != 0 && errno == EINTR)
		;
	sem_destroy(&s.done);
	return s.err;
}
