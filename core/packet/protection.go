package packet

import "net/netip"

// Protection seals what one side of a connection sends, and opens what it gets:
// an AEAD in each direction with the keys of one [Level]. The endpoint's goroutine
// calls its methods. None allocates, but when keys are updated.
//
// The first wire.HeaderSize bytes of a datagram, its header, stay readable and are
// authenticated; the rest is encrypted, and a tag follows it. number is the nonce,
// different for each datagram in one direction, in 64 bits: those of Data datagrams
// are below 1<<63, all others have counters of their own with that bit set.
type Protection interface {
	// Overhead is the length of the tag in bytes.
	Overhead() int
	// Seal encrypts datagram in place, in whose capacity there is room for the tag,
	// and returns it with the tag. It sets wire.FlagPhase in the header, whose bit was 0,
	// where the keys are those of an odd update, and updates them when it is time to.
	Seal(datagram []byte, number uint64) []byte
	// Open decrypts what is behind the header of datagram into dst, of length 0 and with
	// room for it, and returns that. datagram is only read, and does not overlap dst. It
	// sees key updates by wire.FlagPhase, and follows them. False: it is not what the
	// other side sealed, and nothing has changed but counters. It may be a duplicate.
	Open(dst, datagram []byte, number uint64) ([]byte, bool)
	// Spent says that the connection must end: the keys are good for less than 1<<16
	// more datagrams, or too many were forged.
	Spent() bool
}

// Level says which keys protect what a handshake says.
type Level uint8

// Levels, in the order in which a handshake goes through them.
const (
	LevelInitial     Level = iota // none: readable by all
	LevelHandshake                // who is not authenticated yet
	LevelApplication              // of the connection
)

// Security makes the handshakes of an endpoint's connections, all of one kind. The
// endpoint's goroutine calls it.
type Security interface {
	// Feature is the bit of wire.Params that names the kind. Both sides must have the
	// same one.
	Feature() uint32
	// Begin begins a handshake, and does not block.
	Begin(b Beginning) (Handshake, error)
}

// Beginning is what a handshake is begun with.
type Beginning struct {
	// Dialed says that this side is the client.
	Dialed bool
	// Peer is the other side's address, and Name what the client calls the server: of a
	// server, or if that was not said, empty.
	Peer netip.AddrPort
	Name string
	// Params is what the other side is to be told, authenticated, as StepParams there: at
	// most 256 bytes.
	Params []byte
	// Wake has the endpoint's goroutine look at Next soon. Any goroutine may call it,
	// also when the handshake is closed.
	Wake func()
}

// Handshake is one under way: bytes go in and come out, and in the end there are keys.
// It does no I/O. The endpoint's goroutine calls its methods, and none blocks: one
// that computes for long, or asks somebody, does so on a goroutine of its own, and
// calls Wake when Next has something.
type Handshake interface {
	// Consume takes in what the other side said at a level, in order. b is valid during
	// the call. What is wrong with it Next tells.
	Consume(level Level, b []byte)
	// Next is what has to be done next; StepNone: nothing, for now.
	Next() Step
	// Peer is who the other side is, once it is done: what Security has for it, or nil.
	Peer() any
	// Close gives up, or ends what is done. It may be called twice.
	Close()
}

// Step is what a handshake asks for.
type Step struct {
	Kind  StepKind
	Level Level  // of StepSend and StepKeys
	Bytes []byte // of StepSend and StepParams; valid until Next is called again
	Keys  Protection
	// Failure ends the handshake: of StepFailed. If it can be told to the other side a
	// StepSend came before.
	Failure *Failure
}

// StepKind says what to do.
type StepKind uint8

// Kinds of steps.
const (
	StepNone   StepKind = iota
	StepSend            // send Bytes, reliably, at Level
	StepKeys            // Keys are for both directions, at Level: first LevelHandshake if there is any, then LevelApplication
	StepParams          // Bytes is what the other side said as its Params
	StepDone            // the other side is authenticated; StepKeys and StepParams came before
	StepFailed          // with Failure
)
