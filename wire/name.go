package wire

import (
	"encoding/binary"
	"hash/crc32"
)

// NamesMethod is the method that names are asked for at: a request to it is a name, and
// the response the number that requests of this connection say instead.
const NamesMethod = 1<<16 - 1

// NumberSize is the length of that response in bytes.
const NumberSize = 6

// AppendNumber encodes the response for a name.
func AppendNumber(b []byte, name string, number uint16) []byte {
	b = binary.LittleEndian.AppendUint16(b, number)
	return binary.LittleEndian.AppendUint32(b, numberSum(name, b[len(b)-2:]))
}

// ParseNumber decodes it, for whoever has asked for the name. The error is ErrChecksum
// where question or answer was damaged: a wrong number would stay wrong.
func ParseNumber(b []byte, name string) (number uint16, err error) {
	if len(b) != NumberSize {
		return 0, ErrLength
	}
	if numberSum(name, b[:2]) != binary.LittleEndian.Uint32(b[2:]) {
		return 0, ErrChecksum
	}
	return binary.LittleEndian.Uint16(b), nil
}

func numberSum(name string, number []byte) uint32 {
	return crc32.Update(crc32.Checksum([]byte(name), castagnoli), castagnoli, number)
}
