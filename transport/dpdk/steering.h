#ifndef PEREGRINE_STEERING_H
#define PEREGRINE_STEERING_H

#include <stdbool.h>
#include <stdint.h>

// Rules for a port that leaves the kernel what no rule takes. All return 0 or -errno,
// and *why is then the driver's message.

int peregrine_isolate(uint16_t port, const char **why);
void peregrine_steer_nothing(uint16_t port);

// peregrine_steer_udp takes UDP, of IPv6 or IPv4, to a port, and spreads it.
int peregrine_steer_udp(uint16_t port, bool six, uint16_t udp_port, uint16_t queues, uint8_t *key, const char **why);

int peregrine_steer_arp(uint16_t port, const char **why);

// peregrine_steer_icmp takes ICMP to an address: 16 bytes of IPv6, or 4 of IPv4.
int peregrine_steer_icmp(uint16_t port, bool six, const uint8_t *address, const char **why);

#endif
