package core

import (
	"errors"
	"fmt"
	"time"

	"github.com/peregrine-rpc/peregrine/core/packet"
	"github.com/peregrine-rpc/peregrine/transport"
	"github.com/peregrine-rpc/peregrine/wire"
)

// Config holds an endpoint's limits. A zero field takes the default.
type Config struct {
	// Slots is how many requests a session may have outstanding, 1 to 65535.
	// A client asks for its Slots, a server grants at most its own.
	Slots int `yaml:"slots"`
	// Sessions is how many sessions a server keeps, over all its peers. It ends one in
	// which nothing was under way for 100 times KeepAlive, and sooner, after one, to make
	// room; its client opens it again with the next call. Of this limit,
	// Requests and ReassemblyMemory one client may have eight times what is left.
	Sessions int `yaml:"sessions"`
	// Peers is how many clients a server keeps connected, and Requests how many
	// requests it holds, over all sessions, from arrival until the response is
	// acknowledged. Beyond, it refuses with ResourceExhausted.
	Peers    int `yaml:"peers"`
	Requests int `yaml:"requests"`
	// Streams is how many streams a session may have open, 1 to 65535. A client asks
	// for its Streams, a server grants at most its own. All that a server has open
	// are bounded by Requests as well.
	Streams int `yaml:"streams"`
	// StreamWindow is how many bytes a peer may always send on a stream before the
	// reader takes any, in units of 1 KiB up to 64 MiB. A stream that is read as
	// fast as it comes gets more, up to 4 MiB; StreamMemory is how much more all
	// streams of a connection get together.
	StreamWindow int   `yaml:"stream_window"`
	StreamMemory int64 `yaml:"stream_memory"`
	// Queue is how many calls a session keeps waiting for a slot. Beyond, calls
	// fail with ResourceExhausted.
	Queue int `yaml:"queue"`
	// Credits is how many unacknowledged packets a peer may send here, 4 to
	// MaxCredits.
	Credits int `yaml:"credits"`
	// MaxMessage is the longest message received here, in bytes, up to 4 GiB-1.
	MaxMessage int64 `yaml:"max_message"`
	// ReassemblyMemory bounds the memory in bytes of requests of more than one packet
	// that are being received or held, of what streams hold, over all sessions, and of
	// what is kept for those to come. A request is given it as its packets arrive. Where there is no
	// more, the client that has the most gives way, and a request of its fails with
	// ResourceExhausted. What is kept and not needed for a second is given back.
	ReassemblyMemory int64 `yaml:"reassembly_memory"`
	// MaxDatagram bounds the datagrams sent and received, in bytes. Within it
	// the path's MTU is probed.
	MaxDatagram int `yaml:"max_datagram"`
	// AckDelay is how long an acknowledgement may wait for a response to ride
	// on, up to 65 ms.
	AckDelay time.Duration `yaml:"ack_delay"`
	// KeepAlive is the silence after which a peer is given up, 10 ms to a day.
	// A client with an open session breaks silence four times as often.
	KeepAlive time.Duration `yaml:"keep_alive"`
	// ConnectTimeout is how long a handshake may take.
	ConnectTimeout time.Duration `yaml:"connect_timeout"`
	// Handshakes is how many clients a server lets prove who they are at a time, if it
	// has Security. More are heard once there is room. Each may take ConnectTimeout, and
	// up to 64 KiB.
	Handshakes int `yaml:"handshakes"`
	// Security, if set, has all connections sealed: who does not, or otherwise, is
	// refused. nil: all are plain text.
	Security packet.Security `yaml:"-"`
	// NoCoalesce sends every message in a datagram of its own.
	NoCoalesce bool `yaml:"no_coalesce"`
	// Checksum asks for a CRC-32C on every datagram, also over transports that
	// vouch for integrity.
	Checksum bool `yaml:"checksum"`
	// ClientOnly refuses whoever wants to connect: the endpoint only dials.
	ClientOnly bool `yaml:"-"`
	// Poison is for tests: memory whose time is over, such as a request's Data
	// after its end, is overwritten with 0xDB, and what is a view of receive memory
	// otherwise is a copy, so that it can be.
	Poison bool `yaml:"-"`
	// Controller makes the congestion controllers, a cc.Factory; nil means cc.Default.
	Controller packet.Controllers `yaml:"-"`
	// Events, if set, is told of connections made and lost, on the endpoint's
	// goroutine. It must not call the endpoint.
	Events func(Event) `yaml:"-"`
	// Ended, if set, is told on the endpoint's goroutine of calls that have completed
	// and of requests that have been answered, by handler or engine. count of them
	// ended alike, one after the other. since is when the calls were submitted, or when
	// the requests were taken in. It is told before the Receive, Flush or Close returns
	// in which they ended, or the next one if that was between. It must not call the
	// endpoint.
	Ended func(side Side, method uint16, code Code, since time.Duration, count uint64) `yaml:"-"`
	// Recorder, if set, keeps what happens. Each endpoint has one of its own.
	Recorder *Recorder `yaml:"-"`
	// Misrouted, if set, is given packets that arrived here but belong to the
	// endpoint of another queue of the same address, to Inject there; -1 asks to
	// try all others. rx is valid during the call.
	Misrouted func(queue int, rx *transport.RxPacket) `yaml:"-"`
	// Misreported, if set, is likewise given word of datagrams that could not be
	// delivered and that this endpoint did not send, to InjectUnreachable into
	// all others. u is valid during the call.
	Misreported func(u *transport.Unreachable) `yaml:"-"`
	// Seed decides tokens and cookies. It must be secret and fresh, save in
	// simulations, and the same for the queues of one address, which take each
	// other's cookies and draw tokens of their own.
	Seed [32]byte `yaml:"-"`
}

// Side says at which end of a call something was seen.
type Side uint8

// The sides of a call.
const (
	Client Side = iota
	Server
)

// String is "client" or "server".
func (s Side) String() string {
	if s == Client {
		return "client"
	}
	return "server"
}

// Event is something that happened to a connection.
type Event = packet.Event

// EventKind says what happened.
type EventKind = packet.EventKind

// Event kinds.
const (
	PeerConnected EventKind = packet.PeerConnected
	PeerLost      EventKind = packet.PeerLost   // without a word: silence, or a reset
	PeerClosed    EventKind = packet.PeerClosed // in order
	PeerMoved     EventKind = packet.PeerMoved  // a client has another address
)

// MaxCredits is the most packets that a peer may have unacknowledged: 100 ms of
// 1 Gbit/s, and more, in datagrams of 1500 bytes. An acknowledgement tells fewer
// apart, so what is overtaken by more than that counts as lost.
const MaxCredits = packet.MaxCredits

// MaxQueues is how many queues of one address have connections of their own.
const MaxQueues = packet.MaxQueues

// Defaults returns the configuration that zero fields stand for.
func Defaults() Config {
	return Config{
		Slots:            256,
		Sessions:         65536,
		Peers:            65536,
		Requests:         1 << 17,
		Streams:          1 << 14,
		StreamWindow:     32 << 10,
		StreamMemory:     16 << 20,
		Queue:            1 << 16,
		Credits:          256,
		Handshakes:       1024,
		MaxMessage:       16 << 20,
		ReassemblyMemory: 1 << 30,
		MaxDatagram:      8972,
		AckDelay:         500 * time.Microsecond,
		KeepAlive:        3 * time.Second,
		ConnectTimeout:   5 * time.Second,
		Controller:       packet.UsualControl(),
	}
}

// ConfigError says which setting cannot be used, and what to write instead. It
// is the same type as transport.ConfigError.
type ConfigError = transport.ConfigError

// Check returns a [*ConfigError] for each setting that is out of range, joined.
func (c Config) Check() error {
	_, err := c.withDefaults()
	return err
}

// withDefaults fills zero fields in and checks the rest.
func (c Config) withDefaults() (Config, error) {
	d := Defaults()
	if c.Controller == nil {
		c.Controller = d.Controller
	}
	err := errors.Join(
		setting("slots", &c.Slots, d.Slots, 1, 1<<16-1),
		setting("sessions", &c.Sessions, d.Sessions, 1, 1<<24),
		setting("peers", &c.Peers, d.Peers, 1, 1<<24),
		setting("requests", &c.Requests, d.Requests, 1, 1<<30),
		setting("streams", &c.Streams, d.Streams, 1, 1<<16-1),
		setting("stream_window", &c.StreamWindow, d.StreamWindow, wire.WindowUnit, (1<<16-1)*wire.WindowUnit),
		setting("stream_memory", &c.StreamMemory, d.StreamMemory, 1, 1<<50),
		setting("queue", &c.Queue, d.Queue, 1, 1<<30),
		setting("handshakes", &c.Handshakes, d.Handshakes, 1, 1<<20),
		setting("credits", &c.Credits, d.Credits, 4, MaxCredits),
		setting("max_message", &c.MaxMessage, d.MaxMessage, 1, 1<<32-1),
		setting("reassembly_memory", &c.ReassemblyMemory, max(d.ReassemblyMemory, c.MaxMessage), 1, 1<<50),
		setting("max_datagram", &c.MaxDatagram, d.MaxDatagram, wire.MinHello, 65507),
		setting("ack_delay", &c.AckDelay, d.AckDelay, time.Microsecond, 65*time.Millisecond),
		setting("keep_alive", &c.KeepAlive, d.KeepAlive, 10*time.Millisecond, 24*time.Hour),
		setting("connect_timeout", &c.ConnectTimeout, d.ConnectTimeout, time.Millisecond, time.Hour),
	)
	if err != nil {
		return c, err
	}
	if c.ReassemblyMemory < c.MaxMessage {
		return c, outOfRange("reassembly_memory", c.ReassemblyMemory, fmt.Sprintf("at least max_message, %d", c.MaxMessage))
	}
	return c, nil
}

// packets is what of the configuration concerns packets.
func (c *Config) ofPackets() packet.Config {
	p := packet.Config{
		Peers: c.Peers, Credits: c.Credits, MaxDatagram: c.MaxDatagram, AckDelay: c.AckDelay, KeepAlive: c.KeepAlive,
		ConnectTimeout: c.ConnectTimeout, Checksum: c.Checksum, ClientOnly: c.ClientOnly, Controller: c.Controller,
		Security: c.Security, Handshakes: c.Handshakes,
		Events: c.Events, Misrouted: c.Misrouted, Misreported: c.Misreported, Seed: c.Seed,
	}
	if c.Recorder != nil {
		p.Lost = c.Recorder.lost
	}
	return p
}

// setting gives a zero value its fallback and checks its range.
func setting[T int | int64 | time.Duration](key string, value *T, fallback, low, top T) error {
	if *value == 0 {
		*value = fallback
	}
	if *value < low || *value > top {
		return outOfRange(key, *value, fmt.Sprintf("from %v to %v", low, top))
	}
	return nil
}

func outOfRange(key string, value any, want string) error {
	return &ConfigError{Key: key, Problem: fmt.Sprintf("%v is out of range: it must be %s", value, want)}
}
