package seal

import (
	"math"

	"github.com/peregrine-rpc/peregrine/core/packet"
	"github.com/peregrine-rpc/peregrine/wire"
)

// The limits of RFC 9001, 6.6, for datagrams of up to 2^16 bytes. Keys of AES-GCM seal
// no more than sealLimit; ChaCha20-Poly1305's may seal more than there are numbers.
const (
	sealLimit = 1 << 23
	// updateAfter is how many datagrams may be sealed, in either direction, before the
	// client updates: the rest is for those under way until the server has noticed.
	updateAfter = 1 << 21
	// spare is how many datagrams before its limit a key counts as spent.
	spare = 1 << 16
)

func (s Suite) sealLimit() uint64 {
	if s == ChaCha20Poly1305 {
		return math.MaxUint64
	}
	return sealLimit - spare
}

// forgeLimit is how many datagrams may fail to open in the life of a connection.
func (s Suite) forgeLimit() uint64 {
	if s == ChaCha20Poly1305 {
		return 1 << 36
	}
	return 1 << 52
}

// Numbers are of two sequences, apart by this bit, each of which grows.
const (
	sequenceBit = 63
	none        = math.MaxUint64
)

// Keys seal what one side of a connection sends, and open what it gets. They are a
// packet.Protection, and not safe for concurrent use.
//
// A datagram's number is its nonce: none may be sealed twice, and 0 is none.
//
// Keys are updated as QUIC's are (RFC 9001, 6), save that the client alone begins: after
// 1<<21 datagrams in either direction, and once the server has followed the update
// before. That one is known to have come, by a datagram of the server's that was sealed with it.
// So no side is ever more than one update ahead, and nobody has to look at
// acknowledgements for it.
type Keys struct {
	suite  Suite
	dialed bool
	send   sending
	recv   receiving
}

var _ packet.Protection = (*Keys)(nil)

type sending struct {
	*key
	secret     []byte
	generation uint64
	sealed     uint64 // datagrams, by this key
	limit      uint64 // of sealed
	update     uint64 // after so many
}

type receiving struct {
	*key
	secret     []byte
	generation uint64
	since      [2]uint64 // lowest number opened with this key, in each sequence
	before     *key      // of the generation before: for datagrams that were overtaken
	next       *key      // of the generation to come, once somebody asked for it
	nextSecret []byte
	sealed     uint64 // datagrams that the peer has sealed with this key, at least
	forged     uint64
	limit      uint64 // of forged
}

// New makes keys of two secrets of the suite's SecretSize, which it copies: what this
// side sends is sealed with keys of one, what it gets with those of the other. dialed
// says that this side is the client.
func New(s Suite, dialed bool, send, receive []byte) (*Keys, error) {
	k := &Keys{suite: s, dialed: dialed}
	var err error
	if k.send.key, err = newKey(s, send); err != nil {
		return nil, err
	}
	if k.recv.key, err = newKey(s, receive); err != nil {
		return nil, err
	}
	k.send.secret = append([]byte(nil), send...)
	k.recv.secret = append([]byte(nil), receive...)
	k.send.limit, k.send.update, k.recv.limit = s.sealLimit(), updateAfter, s.forgeLimit()
	k.recv.since = [2]uint64{none, none}
	return k, nil
}

// Suite is what they are of.
func (k *Keys) Suite() Suite { return k.suite }

// UpdateAfter has a client update keys after so many datagrams instead of 1<<21.
func (k *Keys) UpdateAfter(datagrams uint64) { k.send.update = datagrams }

// Overhead is the length of the tag: 16 bytes.
func (k *Keys) Overhead() int { return Overhead }

// Seal encrypts datagram in place behind its header, which it authenticates, and returns
// it with the tag, for which it must have the capacity. Of the header it sets
// wire.FlagPhase, if the keys say so.
func (k *Keys) Seal(datagram []byte, number uint64) []byte {
	s := &k.send
	if k.dialed && max(s.sealed, k.recv.sealed) >= s.update && k.mayUpdate() {
		k.update()
	}
	s.sealed++
	if s.generation&1 != 0 {
		datagram[flags] |= wire.FlagPhase
	}
	header := datagram[:wire.HeaderSize]
	return s.aead.Seal(header, s.numbered(number), datagram[wire.HeaderSize:], header)
}

// mayUpdate says that the server has followed the last update: it has a datagram of
// the present generation, and this side has one of the server's.
func (k *Keys) mayUpdate() bool {
	return k.send.generation == k.recv.generation && k.recv.since != [2]uint64{none, none}
}

// flags is where a header has them.
const flags = 2

// update replaces the key for sending. It stays as it is if there is no other, as long
// as it is good.
func (k *Keys) update() {
	next, secret, err := k.suite.after(k.send.secret)
	if err != nil {
		return
	}
	k.send.key, k.send.secret = next, secret
	k.send.generation++
	k.send.sealed = 0
}

// after derives the secret that follows one, and its key (RFC 9001, 6.1).
func (s Suite) after(secret []byte) (*key, []byte, error) {
	next, err := s.ExpandLabel(secret, "quic ku", nil, s.SecretSize())
	if err != nil {
		return nil, nil, err
	}
	k, err := newKey(s, next)
	return k, next, err
}

// Spent says that the keys have sealed all but 1<<16 of the datagrams that are safe, and
// could not be updated, or that so many did not open. The connection must end.
func (k *Keys) Spent() bool {
	return k.send.sealed >= k.send.limit || k.recv.forged >= k.recv.limit
}

// Open decrypts what is behind the header of datagram into dst, which must be of length
// 0, have the capacity, and not overlap it, and returns that. Duplicates are the
// caller's to drop. False: it is not what the other side sealed; then dst's memory is
// overwritten, and nothing has changed but a counter.
func (k *Keys) Open(dst, datagram []byte, number uint64) ([]byte, bool) {
	r := &k.recv
	if len(datagram) < wire.HeaderSize+Overhead {
		r.forged++
		return nil, false
	}
	phase := datagram[flags]&wire.FlagPhase != 0
	since := &r.since[number>>sequenceBit]
	with, or := r.key, (*key)(nil)
	if phase != (r.generation&1 != 0) {
		with = r.before
		if mayFollow := !k.dialed || k.send.generation > r.generation; mayFollow && number >= *since {
			with = k.following()
		} else if mayFollow && *since == none {
			or = k.following()
		}
	}
	plain, ok := with.open(dst, datagram, number)
	if !ok {
		with = or
		if plain, ok = with.open(dst, datagram, number); !ok {
			r.forged++
			return nil, false
		}
	}
	if with == r.before {
		return plain, true
	}
	if with == r.next {
		k.follow()
	}
	if *since > number {
		*since = number
	}
	r.sealed = max(r.sealed, number-*since)
	return plain, true
}

// following is the key that the peer updates to next. It is made when a datagram asks for
// it, which anybody may forge, and once only.
func (k *Keys) following() *key {
	if r := &k.recv; r.next == nil {
		r.next, r.nextSecret, _ = k.suite.after(r.secret)
	}
	return k.recv.next
}

// follow takes the peer's update over, and updates this side's key unless it began.
func (k *Keys) follow() {
	r := &k.recv
	r.before, r.key, r.secret = r.key, r.next, r.nextSecret
	r.next, r.nextSecret = nil, nil
	r.generation++
	r.since, r.sealed = [2]uint64{none, none}, 0
	if k.send.generation < r.generation {
		k.update()
	}
}
