package unseal

import (
	"crypto/sha256"
	"crypto/sha512"

	"github.com/peregrine-rpc/peregrine/core/packet"
	"github.com/peregrine-rpc/peregrine/core/packet/seal"
	"github.com/peregrine-rpc/peregrine/wire"
)

// suites are those whose secrets have a length.
var suites = map[int][]seal.Suite{
	sha256.Size:    {seal.AES128GCM, seal.ChaCha20Poly1305},
	sha512.Size384: {seal.AES256GCM},
}

// Opener opens sealed datagrams, in about the order in which they were sent. The
// zero value is of no use.
type Opener struct {
	log   *Log
	flows map[name]*flow
}

// NewOpener makes one that uses the secrets of log up.
func NewOpener(log *Log) *Opener { return &Opener{log: log, flows: map[name]*flow{}} }

// name is what datagrams call a side of a connection that they go to, and the level of
// their keys.
type name struct {
	connection, token uint32
	level             packet.Level
}

// flow is what goes to one side, at one level.
type flow struct {
	keys  *seal.Keys // nil: not found
	tries int        // to find them
	next  [2]uint64  // one more than the largest number, of Data and of others
}

// mostTries bounds what datagrams cost whose keys are not there. The first ones may be damaged.
const mostTries = 8

// unnumbered is the bit of nonces of what is not Data.
const unnumbered = 1 << 63

// Sealed says whether a datagram, or what is left of it, is a sealed one.
func Sealed(datagram []byte) bool {
	var h wire.Header
	_, err := h.Parse(datagram)
	return (err == nil || err == wire.ErrLength) && h.Flags&wire.FlagSealed != 0
}

// Open returns the plain datagram that a sealed one stands for; false: it does not open.
func (o *Opener) Open(datagram []byte) ([]byte, bool) {
	var h wire.Header
	if _, err := h.Parse(datagram); err != nil || h.Flags&wire.FlagSealed == 0 {
		return nil, false
	}
	level, sequence, bit := packet.LevelApplication, 0, uint64(0)
	if h.Type != wire.Data {
		sequence, bit = 1, unnumbered
	}
	if h.Type == wire.Crypto {
		level = packet.LevelHandshake
	}
	to := name{h.Connection, h.Token, level}
	f := o.flows[to]
	if f == nil {
		f = &flow{}
		o.flows[to] = f
	}
	next := &f.next[sequence]
	number := uint64(h.Number)
	if *next > 0 {
		number = *next + uint64(int64(int32(h.Number-uint32(*next))))
	}
	body := make([]byte, 0, len(datagram))
	body, ok := o.open(f, level, body, datagram, number|bit)
	if !ok {
		return nil, false
	}
	*next = max(*next, number+1)
	return plain(&h, datagram, body), true
}

// open decrypts a datagram with the keys of its flow, and looks for these if need be.
func (o *Opener) open(f *flow, level packet.Level, dst, datagram []byte, number uint64) ([]byte, bool) {
	switch {
	case f.keys != nil:
		return f.keys.Open(dst, datagram, number)
	case f.tries == mostTries:
		return nil, false
	}
	f.tries++
	for _, secret := range o.log.secrets[level] {
		for _, suite := range suites[len(secret)] {
			// A server's keys follow whatever update they see, so that they do for both directions.
			keys, err := seal.New(suite, false, secret, secret)
			if err != nil {
				continue
			}
			if body, ok := keys.Open(dst, datagram, number); ok {
				f.keys = keys
				o.log.used(level, secret)
				return body, true
			}
		}
	}
	return nil, false
}

// plain is the datagram as it would be if it were not sealed: control datagrams then have a checksum.
func plain(h *wire.Header, datagram, body []byte) []byte {
	b := append(make([]byte, 0, len(datagram)), datagram[:wire.HeaderSize]...)
	flags := h.Flags &^ (wire.FlagSealed | wire.FlagPhase)
	control := h.Type > wire.Ack
	if control {
		flags |= wire.FlagChecksum
		b = append(b, make([]byte, wire.ChecksumSize)...)
	}
	wire.PutLead(b, h.Type, flags, h.Acks.Words, h.Connection, h.Token, h.Number)
	b = append(b, body...)
	if control {
		wire.Seal(b, nil)
	}
	return b
}
