package raw

import "encoding/binary"

// A raw datagram begins with
//
//	0  sequence number, or in an answer to bulk the highest one received
//	8  kind
//	12 run: chosen by the client, so that strays of an earlier run are known
//	16 bulk: after how many datagrams an answer is due; answer: how many came
//	24 answer: how many bytes came
//
// in little-endian order; bytes 9 to 11 hold the slot of an echo.
type kind uint8

const (
	echo kind = 1 + iota
	bulk
	answer
	statistics
)

const (
	// MinEcho and MinBulk are the least sizes that hold the fields in use.
	MinEcho = 16
	MinBulk = 24

	answerSize = 32
)

func setHeader(b []byte, k kind, run uint32, seq uint64) {
	binary.LittleEndian.PutUint64(b, seq)
	binary.LittleEndian.PutUint32(b[8:], uint32(k))
	binary.LittleEndian.PutUint32(b[12:], run)
}

func setSlot(b []byte, slot int) {
	b[9], b[10], b[11] = byte(slot), byte(slot>>8), byte(slot>>16)
}

func sequence(b []byte) uint64 { return binary.LittleEndian.Uint64(b) }
func kindOf(b []byte) kind     { return kind(b[8]) }
func runOf(b []byte) uint32    { return binary.LittleEndian.Uint32(b[12:]) }
func slotOf(b []byte) int      { return int(b[9]) | int(b[10])<<8 | int(b[11])<<16 }
