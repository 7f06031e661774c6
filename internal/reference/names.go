package reference

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"time"
)

// namesMethod is where the numbers of names are asked for (§8.2).
const namesMethod = 65535

// numberOf is the response for a name.
func numberOf(name string, number uint16) []byte {
	b := binary.LittleEndian.AppendUint16(nil, number)
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(append([]byte(name), b...), crc32.MakeTable(crc32.Castagnoli)))
}

// numberIn is the number that a response for a name says; -1: it was damaged.
func numberIn(response []byte, name string) int {
	if len(response) != 6 {
		return -1
	}
	number := binary.LittleEndian.Uint16(response)
	if !bytes.Equal(response, numberOf(name, number)) {
		return -1
	}
	return int(number)
}

// CallName makes a call of a method by its name: it asks for the number, and calls that.
func (k *Client) CallName(now func() time.Duration, name string, call *Call) {
	k.Call(now(), &Call{Method: namesMethod, Request: []byte(name), Done: func(code uint8, reply []byte, _ bool) {
		if code != 0 {
			call.Done(code, reply, false)
			return
		}
		number := numberIn(reply, name)
		if number < 0 {
			call.Done(15, []byte("the number was damaged"), false)
			return
		}
		call.Method = uint16(number)
		k.Call(now(), call)
	}})
}
