#ifndef PEREGRINE_REDIRECTION_H
#define PEREGRINE_REDIRECTION_H

#include <stdint.h>

// peregrine_redirection reads which queue each value of the hash, modulo the
// size returned, leads to; 0 means that the device does not say.
int peregrine_redirection(uint16_t port, uint16_t *table, uint16_t size);

#endif
