package conform

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine/core/packet"
	"github.com/peregrine-rpc/peregrine/transport/sim"
	"github.com/peregrine-rpc/peregrine/wire"
)

// broken is an endpoint with one fault: the engine behind something that changes what it says or is told. A datagram that
// is changed to nothing is lost.
type broken struct {
	name  string
	found string // by this conversation, perhaps among others
	raw   bool   // checksums are left as they are, and not made right where they were
	out   func(b *breakage, data []byte) []byte
	in    func(b *breakage, data []byte) []byte
	// Of an endpoint that seals: what it does in place of its keys' Seal or Open.
	seal func(k packet.Protection, datagram []byte, number uint64) []byte
	open func(k packet.Protection, dst, datagram []byte, number uint64) ([]byte, bool)
}

// breakage is what it knows.
type breakage struct {
	names      [8]byte // the server's, in headers to it
	theirs     [8]byte // the client's
	seen       map[uint32]bool
	generation uint16
	counted    int
}

func is(data []byte, t wire.Type) bool { return len(data) > 1 && wire.Type(data[1]&15) == t }

// at is where the messages of a Data begin.
func at(data []byte) int {
	n := wire.HeaderSize
	if data[2]&wire.FlagChecksum != 0 {
		n += wire.ChecksumSize
	}
	if data[3] > 0 {
		n += wire.AckFixedSize + 8*int(data[3])
	}
	return n
}

// message changes the first message of a kind in a Data.
func message(kind wire.Kind, change func(b *breakage, m []byte)) func(*breakage, []byte) []byte {
	return func(b *breakage, data []byte) []byte {
		if !is(data, wire.Data) || data[0] != 0xF7 || data[1]>>4 != wire.Version {
			return data
		}
		for n := at(data); n+wire.MessageHeaderSize <= len(data); {
			m := data[n:]
			if wire.Kind(m[0]&15) == kind {
				change(b, m)
				break
			}
			size := wire.MessageHeaderSize + int(binary.LittleEndian.Uint16(m[2:]))
			if m[0]&wire.FlagFragment != 0 {
				size += wire.FragmentSize
			}
			if m[0]&wire.FlagDeadline != 0 {
				size += wire.DeadlineSize
			}
			n += size
		}
		return data
	}
}

// control changes a control datagram behind its checksum.
func control(t wire.Type, change func(b *breakage, body []byte)) func(*breakage, []byte) []byte {
	return func(b *breakage, data []byte) []byte {
		if is(data, t) {
			change(b, data[wire.HeaderSize+wire.ChecksumSize:])
		}
		return data
	}
}

// block changes blocks of acknowledgements.
func block(change func(acks []byte)) func(*breakage, []byte) []byte {
	return func(_ *breakage, data []byte) []byte {
		if !is(data, wire.Data) && !is(data, wire.Ack) || data[3] == 0 {
			return data
		}
		n := at(data) - wire.AckFixedSize - 8*int(data[3])
		change(data[n:])
		return data
	}
}

// rewritten replaces a byte of the header.
func rewritten(offset int, from, to byte) func(*breakage, []byte) []byte {
	return func(_ *breakage, data []byte) []byte {
		if data[offset] == from {
			data[offset] = to
		}
		return data
	}
}

// without loses datagrams of a type.
func without(t wire.Type) func(*breakage, []byte) []byte {
	return func(_ *breakage, data []byte) []byte {
		if is(data, t) {
			return nil
		}
		return data
	}
}

var brokenServers = []broken{
	{name: "uses one packet number for all", found: "request", out: func(_ *breakage, data []byte) []byte {
		if is(data, wire.Data) {
			binary.LittleEndian.PutUint32(data[12:], 1)
		}
		return data
	}},
	{name: "numbers acknowledgements", found: "ack-now", out: func(_ *breakage, data []byte) []byte {
		if is(data, wire.Ack) {
			data[12] = 1
		}
		return data
	}},
	{name: "puts wrong checksums", found: "request", raw: true, out: func(_ *breakage, data []byte) []byte {
		if data[2]&wire.FlagChecksum != 0 {
			data[wire.HeaderSize] ^= 1
		}
		return data
	}},
	{name: "sets reserved flags", found: "request", out: rewritten(2, 0, 4)},
	{name: "acknowledges what was not sent", found: "request", out: block(func(a []byte) {
		binary.LittleEndian.PutUint32(a, binary.LittleEndian.Uint32(a)+100)
	})},
	{name: "does not acknowledge the largest", found: "request", out: block(func(a []byte) { a[wire.AckFixedSize+7] &^= 0x80 })},
	{name: "acknowledges below 1", found: "request", out: block(func(a []byte) { a[wire.AckFixedSize] |= 1 })},
	{name: "never acknowledges", found: "ack-now", out: func(_ *breakage, data []byte) []byte {
		switch {
		case is(data, wire.Ack):
			return nil
		case is(data, wire.Data) && data[3] > 0:
			n := at(data)
			begin := n - wire.AckFixedSize - 8*int(data[3])
			data[3] = 0
			return append(data[:begin], data[n:]...)
		}
		return data
	}},
	{name: "answers with wrong sequences", found: "request", out: message(wire.Response, func(_ *breakage, m []byte) { m[12]++ })},
	{name: "answers OK and not executed", found: "request", out: message(wire.Response, func(_ *breakage, m []byte) { m[1] |= wire.NotExecuted })},
	{name: "answers with codes that there are not", found: "request", out: message(wire.Response, func(_ *breakage, m []byte) { m[1] |= 31 })},
	{name: "says executed of what was not", found: "no-method", out: message(wire.Response, func(_ *breakage, m []byte) { m[1] &^= wire.NotExecuted })},
	{name: "damages replies", found: "fragments", out: message(wire.Response, func(_ *breakage, m []byte) {
		if len(m) > wire.MessageHeaderSize+wire.FragmentSize {
			m[wire.MessageHeaderSize+wire.FragmentSize]++
		}
	})},
	{name: "sends no Reset", found: "wrong-index", out: without(wire.Reset)},
	{name: "sends Resets that prove nothing", found: "wrong-token", out: control(wire.Reset, func(_ *breakage, body []byte) { body[4]++ })},
	{name: "refuses no other version", found: "hello-of-another-version", out: without(wire.Refuse)},
	{name: "gives cookies of zeros", found: "hello", out: control(wire.Retry, func(_ *breakage, body []byte) { clear(body) })},
	{name: "gives the token 0", found: "request", out: control(wire.Accept, func(_ *breakage, body []byte) { clear(body[4:8]) })},
	{name: "accepts otherwise the second time", found: "hello-again", out: control(wire.Accept, func(b *breakage, body []byte) {
		body[8] += byte(b.counted)
		b.counted++
	})},
	{name: "asks for checksums and sends none", found: "request", out: control(wire.Accept, func(_ *breakage, body []byte) { body[8+24] = 1 })},
	{name: "sends control datagrams of the client", found: "request", out: rewritten(1, 0x13, 0x12)},

	{name: "takes another protocol", found: "wrong-magic", in: rewritten(0, 0xF6, 0xF7)},
	{name: "takes another version", found: "data-of-another-version", in: rewritten(1, 0x20, 0x10)},
	{name: "takes unknown types", found: "unknown-type", in: rewritten(1, 0x1F, 0x10)},
	{name: "takes unknown flags", found: "unknown-flag", in: rewritten(2, 0x80, 0)},
	{name: "takes wrong names", found: "wrong-token", in: func(b *breakage, data []byte) []byte {
		if is(data, wire.Data) || is(data, wire.Ack) || is(data, wire.Close) {
			copy(data[4:], b.names[:])
		}
		return data
	}},
	{name: "takes control datagrams without a checksum", found: "close-without-checksum", raw: true, in: func(_ *breakage, data []byte) []byte {
		if is(data, wire.Close) && data[2] == 0 {
			data[2] = wire.FlagChecksum
			data = append(data[:16:16], append(make([]byte, 4), data[16:]...)...)
			wire.Seal(data, nil)
		}
		return data
	}},
	{name: "takes damaged datagrams", found: "damaged", raw: true, in: func(_ *breakage, data []byte) []byte {
		if data[0] == 0xF7 && len(data) >= 20 && data[2]&wire.FlagChecksum != 0 {
			wire.Seal(data, nil)
		}
		return data
	}},
	{name: "takes packet numbers twice", found: "duplicate", in: func(b *breakage, data []byte) []byte {
		if is(data, wire.Data) && data[0] == 0xF7 && data[1] == 0x10 {
			number := binary.LittleEndian.Uint32(data[12:])
			if b.seen[number] {
				binary.LittleEndian.PutUint32(data[12:], number+1000)
			}
			b.seen[number] = true
		}
		return data
	}},
	{name: "executes requests again", found: "request-again", in: message(wire.Request, func(b *breakage, m []byte) {
		sequence := binary.LittleEndian.Uint32(m[12:])
		id := sequence<<8 | uint32(m[8])<<4 | uint32(m[4])
		if b.seen[id] && m[0]&wire.FlagFragment == 0 {
			binary.LittleEndian.PutUint32(m[12:], sequence+1000)
		}
		b.seen[id] = true
	})},
	{name: "executes requests of former sessions", found: "older-generation", in: message(wire.Request, func(b *breakage, m []byte) {
		if generation := binary.LittleEndian.Uint16(m[6:]); m[4] == 0 && m[5] == 0 {
			b.generation = max(b.generation, generation)
			binary.LittleEndian.PutUint16(m[6:], b.generation)
		}
	})},
	{name: "executes the sequence 0", found: "sequence-zero", in: message(wire.Request, func(_ *breakage, m []byte) {
		if binary.LittleEndian.Uint32(m[12:]) == 0 {
			m[12] = 1
		}
	})},
	{name: "executes in slots that it did not grant", found: "slot-beyond-the-limit", in: message(wire.Request, func(_ *breakage, m []byte) { m[9] = 0; m[8] &= 3 })},
	{name: "executes what is cancelled", found: "cancel-first", in: message(wire.Cancel, func(_ *breakage, m []byte) { m[0] = byte(wire.Ping) })},
	{name: "keeps sessions open", found: "closed-session", in: message(wire.CloseSession, func(_ *breakage, m []byte) { m[0] = byte(wire.Ping) })},
	{name: "executes what has expired", found: "deadline-passed", in: message(wire.Request, func(_ *breakage, m []byte) {
		if m[0]&wire.FlagDeadline != 0 {
			m[18] = 0xFF
		}
	})},
	{name: "takes short Hellos", found: "short-hello", in: func(_ *breakage, data []byte) []byte {
		if is(data, wire.Hello) && len(data) < wire.MinHello {
			data = append(data, make([]byte, wire.MinHello-len(data))...)
		}
		return data
	}},
	{name: "believes any Reset", found: "reset-without-proof", in: func(b *breakage, data []byte) []byte {
		if is(data, wire.Reset) {
			copy(data[20:], b.theirs[:])
		}
		return data
	}},
	{name: "sends beyond the limit of a stream", found: "stream-window", in: control(wire.Hello, func(_ *breakage, body []byte) { body[8+30] = 64 })},
	{name: "hears of no limit of a stream", found: "stream-window", in: message(wire.StreamWindow, func(_ *breakage, m []byte) { m[0] = byte(wire.Ping) })},
	{name: "lets a stream go on that was reset", found: "stream-reset", in: message(wire.StreamReset, func(_ *breakage, m []byte) { m[0] = byte(wire.Ping) })},
	{name: "takes streams' messages of older uses", found: "stream-of-an-older-use", in: message(wire.StreamData, func(_ *breakage, m []byte) {
		if m[10] == 1 && m[16] == '1' {
			m[10], m[12] = 2, 34
		}
	})},
	{name: "says only once that a session has ended", found: "idle-session-ends", out: message(wire.CloseSession, func(b *breakage, m []byte) {
		if b.counted++; b.counted > 1 {
			m[0] = byte(wire.Ping)
		}
	})},
	{name: "knows no Reset", found: "reset", in: without(wire.Reset)},
	{name: "knows no Close", found: "close", in: without(wire.Close)},
}

var brokenClients = []broken{
	{name: "sends short Hellos", found: "hello-unanswered", out: func(_ *breakage, data []byte) []byte {
		if is(data, wire.Hello) {
			data = data[:wire.MinHello-1]
		}
		return data
	}},
	{name: "brings no cookie", found: "client-connects", out: control(wire.Hello, func(_ *breakage, body []byte) { clear(body[40:64]) })},
	{name: "gives the token 0", found: "client-connects", out: control(wire.Hello, func(_ *breakage, body []byte) { clear(body[4:8]) })},
	{name: "says Hello once", found: "hello-unanswered", out: func(b *breakage, data []byte) []byte {
		if is(data, wire.Hello) {
			if b.counted++; b.counted > 1 {
				return nil
			}
		}
		return data
	}},
	{name: "begins with the sequence 0", found: "client-connects", out: message(wire.Request, func(_ *breakage, m []byte) { clear(m[12:16]) })},
	{name: "takes responses of other sequences", found: "response-of-another-sequence", in: message(wire.Response, func(_ *breakage, m []byte) {
		if binary.LittleEndian.Uint32(m[12:]) == 4000000 {
			binary.LittleEndian.PutUint32(m[12:], 1)
		}
	})},
	{name: "takes responses of other sessions", found: "response-of-another-session", in: message(wire.Response, func(_ *breakage, m []byte) { m[4] = 0 })},
	{name: "takes wrong tokens", found: "client-sees-a-wrong-token", in: func(b *breakage, data []byte) []byte {
		if is(data, wire.Data) {
			copy(data[4:], b.theirs[:])
		}
		return data
	}},
	{name: "believes any Reset", found: "reset-without-proof-to-a-client", in: func(b *breakage, data []byte) []byte {
		if is(data, wire.Reset) {
			copy(data[20:], b.names[:])
		}
		return data
	}},
	{name: "does not hear that its session has ended", found: "session-ended-by-the-server", in: message(wire.CloseSession, func(_ *breakage, m []byte) {
		m[0] = byte(wire.Ping)
	})},
	{name: "takes the end of another session for its own", found: "end-of-another-session", in: message(wire.CloseSession, func(_ *breakage, m []byte) {
		if binary.LittleEndian.Uint16(m[6:]) == 60000 {
			m[6], m[7] = 1, 0
		}
	})},
	{name: "answers no PathChallenge", found: "challenge", out: without(wire.PathResponse)},
	{name: "never acknowledges", found: "client-sees-a-duplicate", out: without(wire.Ack)},
}

var sealsOneNumberTwice = broken{name: "seals with a number twice", seal: func(k packet.Protection, datagram []byte, number uint64) []byte {
	if is(datagram, wire.Data) && number > 2 {
		number = 2
		binary.LittleEndian.PutUint32(datagram[12:], uint32(number))
	}
	return k.Seal(datagram, number)
}}

// sealed marks a Data that is not sealed as one that is, with a tag of zeros.
func sealed(_ *breakage, data []byte) []byte {
	if is(data, wire.Data) && data[2]&wire.FlagSealed == 0 {
		data[2] |= wire.FlagSealed
		data = append(data[:len(data):len(data)], make([]byte, wire.TagSize)...)
	}
	return data
}

var takesWhatIsNotSealed = broken{name: "takes what is not sealed", in: sealed,
	open: func(k packet.Protection, dst, datagram []byte, number uint64) ([]byte, bool) {
		if plain := len(datagram) - wire.TagSize; bytes.Equal(datagram[plain:], make([]byte, wire.TagSize)) {
			return append(dst, datagram[wire.HeaderSize:plain]...), true
		}
		return k.Open(dst, datagram, number)
	}}

var comparesTagsInPart = broken{name: "does not compare the last bit of tags",
	open: func(k packet.Protection, dst, datagram []byte, number uint64) ([]byte, bool) {
		if plain, ok := k.Open(dst, datagram, number); ok {
			return plain, true
		}
		other := bytes.Clone(datagram)
		other[len(other)-1] ^= 1
		return k.Open(dst, other, number)
	}}

const ahead = 1000 // of packet numbers

var takesWhatIsSealedTwice = broken{name: "takes what is sealed twice", in: func(b *breakage, data []byte) []byte {
	if is(data, wire.Data) {
		number := binary.LittleEndian.Uint32(data[12:])
		if b.seen[number] {
			binary.LittleEndian.PutUint32(data[12:], number+ahead)
		}
		b.seen[number] = true
	}
	return data
}, open: func(k packet.Protection, dst, datagram []byte, number uint64) ([]byte, bool) {
	if is(datagram, wire.Data) && number > ahead {
		datagram, number = bytes.Clone(datagram), number-ahead
		binary.LittleEndian.PutUint32(datagram[12:], uint32(number))
	}
	return k.Open(dst, datagram, number)
}}

// by is what is broken, and the conversation that finds it.
func (f broken) by(conversation string) broken {
	f.found = conversation
	return f
}

var brokenSealedServers = []broken{
	sealsOneNumberTwice.by("sealed-again"),
	takesWhatIsNotSealed.by("not-sealed"),
	comparesTagsInPart.by("does-not-open"),
	takesWhatIsSealedTwice.by("sealed-again"),
}

var brokenSealedClients = []broken{
	sealsOneNumberTwice.by("client-sees-what-does-not-open"),
	takesWhatIsNotSealed.by("client-sees-what-is-not-sealed"),
	comparesTagsInPart.by("client-sees-what-does-not-open"),
}

// brokenSecurity gives keys that do as a fault says.
type brokenSecurity struct {
	packet.Security
	f *broken
}

type brokenHandshake struct {
	packet.Handshake
	f *broken
}

type brokenKeys struct {
	packet.Protection
	f *broken
}

func (s brokenSecurity) Begin(b packet.Beginning) (packet.Handshake, error) {
	h, err := s.Security.Begin(b)
	return brokenHandshake{h, s.f}, err
}

func (h brokenHandshake) Next() packet.Step {
	step := h.Handshake.Next()
	if step.Kind == packet.StepKeys && step.Level == packet.LevelApplication {
		step.Keys = brokenKeys{step.Keys, h.f}
	}
	return step
}

func (k brokenKeys) Seal(datagram []byte, number uint64) []byte {
	if k.f.seal == nil {
		return k.Protection.Seal(datagram, number)
	}
	return k.f.seal(k.Protection, datagram, number)
}

func (k brokenKeys) Open(dst, datagram []byte, number uint64) ([]byte, bool) {
	if k.f.open == nil {
		return k.Protection.Open(dst, datagram, number)
	}
	return k.f.open(k.Protection, dst, datagram, number)
}

// faults has all conversations with a broken endpoint, and returns the names of those that went otherwise.
func (f *broken) faults(t *testing.T, tests string) (faults []string) {
	seals := f.seal != nil || f.open != nil
	conversations, err := Conversations(tests, seals)
	require.NoError(t, err)
	for _, c := range conversations {
		w := newWorld(t)
		b := &breakage{seen: map[uint32]bool{}}
		w.out.Intercept(func(p *sim.Packet) sim.Verdict {
			b.learn(p.Data, wire.Accept, &b.names)
			b.learn(p.Data, wire.Hello, &b.theirs)
			return f.change(f.out, b, p)
		})
		w.in.Intercept(func(p *sim.Packet) sim.Verdict {
			b.learn(p.Data, wire.Hello, &b.theirs)
			b.learn(p.Data, wire.Accept, &b.names)
			return f.change(f.in, b, p)
		})
		line := w.line()
		peer := newPeer(line, func() (Line, error) { return w.line(), nil }, Patience)
		cfg := c.config()
		if seals {
			key := kinds(t)["key"]
			peer.sealing, cfg.Security = &Sealing{Security: key}, brokenSecurity{key, f}
		}
		if tests == "client" {
			w.caller(cfg, line.port.LocalAddr(), 10, 3000)
			peer.serving = true
		} else {
			w.engine(cfg)
		}
		if r := peer.converse(&c); r.Fault != "" {
			faults = append(faults, r.Name)
		}
	}
	return faults
}

// learn takes the names that a Hello or an Accept gives: the client's are theirs, the server's names.
func (b *breakage) learn(data []byte, t wire.Type, names *[8]byte) {
	if is(data, t) && len(data) >= 28 {
		copy(names[:], data[20:])
	}
}

func (f *broken) change(by func(*breakage, []byte) []byte, b *breakage, p *sim.Packet) sim.Verdict {
	if by == nil || len(p.Data) < wire.HeaderSize {
		return sim.Verdict{}
	}
	right := p.Data[2]&wire.FlagChecksum != 0 && len(p.Data) >= wire.HeaderSize+wire.ChecksumSize && wire.Verify(p.Data) == nil
	p.Data = by(b, p.Data)
	if right && !f.raw && p.Data != nil {
		wire.Seal(p.Data, nil)
	}
	return sim.Verdict{Drop: p.Data == nil}
}

func TestEveryBrokenEndpointIsFound(t *testing.T) {
	t.Parallel()
	for tests, all := range map[string][]broken{
		"server": append(brokenServers, brokenSealedServers...), "client": append(brokenClients, brokenSealedClients...),
	} {
		for _, f := range all {
			t.Run(tests+" that "+f.name, func(t *testing.T) {
				t.Parallel()
				require.Contains(t, f.faults(t, tests), f.found)
			})
		}
	}
}
