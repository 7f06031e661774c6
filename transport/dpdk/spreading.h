#ifndef PEREGRINE_SPREADING_H
#define PEREGRINE_SPREADING_H

#include <stdint.h>

// peregrine_hash_key reads the key that the device hashes by. key is as long as any.
// -ENOTSUP means that the driver does not say.
int peregrine_hash_key(uint16_t port, uint8_t key[UINT8_MAX]);

// peregrine_table reads which queue each value of the hash, modulo the size returned,
// leads to, into at most size entries; 0 means that the device does not say.
uint16_t peregrine_table(uint16_t port, uint16_t *table, uint16_t size);

#endif
