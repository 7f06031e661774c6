//go:build dpdk

package dpdk

// #include "spreading.h"
import "C"

// largestTable is more entries than any device has.
const largestTable = 1 << 14

// table is the queue that each value of the device's hash leads to, modulo the
// table's length; empty where the device does not say.
func (p *port) table() []uint16 {
	table := make([]C.uint16_t, largestTable)
	size := C.peregrine_table(C.uint16_t(p.id), &table[0], largestTable)
	queues := make([]uint16, size)
	for i := range queues {
		queues[i] = uint16(table[i])
	}
	return queues
}

// hashKey is the key that the device says it hashes by. Where the driver cannot say
// any, it is ENOTSUP.
func (p *port) hashKey() ([]byte, error) {
	var key [255]C.uint8_t
	if err := result(C.peregrine_hash_key(C.uint16_t(p.id), &key[0])); err != nil {
		return nil, err
	}
	bytes := make([]byte, len(key))
	for i := range key {
		bytes[i] = byte(key[i])
	}
	return bytes, nil
}
