package service

import (
	"encoding/binary"
	"sync"
)

// seeds is how many patterns there are: a seed chooses at which word of one
// long sequence a pattern begins, so that no pattern has to be made twice.
const seeds = 512

// sequence is the longest part of it that anybody asked for so far.
var sequence struct {
	sync.RWMutex
	bytes []byte
}

// Pattern returns n bytes that look random and are the same for the same seed
// modulo 512. Two seeds differ in every word. The bytes are shared: read only.
func Pattern(seed uint64, n int) []byte {
	from := int(seed%seeds) * 8
	need := seeds*8 + n
	sequence.RLock()
	b := sequence.bytes
	sequence.RUnlock()
	if len(b) < need {
		b = extend(need)
	}
	return b[from : from+n : from+n]
}

// extend makes the sequence at least n bytes long. Those handed out before stay
// as they are.
func extend(n int) []byte {
	sequence.Lock()
	defer sequence.Unlock()
	if len(sequence.bytes) < n {
		b := make([]byte, (n+7)&^7)
		for i := 0; i < len(b); i += 8 {
			binary.LittleEndian.PutUint64(b[i:], mix(uint64(i/8)))
		}
		sequence.bytes = b
	}
	return sequence.bytes
}

// mix is the output function of SplitMix64 (Steele, Lea and Flood, "Fast
// splittable pseudorandom number generators", OOPSLA 2014).
func mix(i uint64) uint64 {
	z := (i + 1) * 0x9e3779b97f4a7c15
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}
