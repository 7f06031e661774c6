package handshake

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/netip"
	"sync"

	"github.com/peregrine-rpc/peregrine/core/packet"
	"github.com/peregrine-rpc/peregrine/core/packet/seal"
)

// maxUnread bounds what a peer may send while a callback blocks: the longest message
// that crypto/tls takes, and more.
const maxUnread = 512 << 10

// handshake is one under way. The loop leaves what came in it, and takes what is to be
// done; a goroutine that is there while there is work drives crypto/tls in between.
type handshake struct {
	owner  *TLS
	peer   netip.AddrPort
	dialed bool
	wake   func()
	cancel context.CancelFunc

	mu      sync.Mutex
	in      []input
	unread  int // bytes of in
	out     []packet.Step
	working bool // a goroutine drives quic, or did its last
	closed  bool
	under   bool // it counts in owner.accepting
	state   *tls.ConnectionState

	// Of who is working:
	quic    *tls.QUICConn // nil once nothing more can come of it
	secrets [packet.LevelApplication + 1]secrets
	done    bool
	failed  bool
}

type input struct {
	level packet.Level
	data  []byte
}

// secrets are a level's, as they come: one after the other.
type secrets struct {
	suite         seal.Suite
	read, written []byte
}

func (h *handshake) begin() {
	ctx, cancel := context.WithCancel(withConn(context.Background(), h.peer))
	h.cancel, h.under, h.working = cancel, !h.dialed, true
	h.owner.run(func() {
		if err := h.quic.Start(ctx); err != nil {
			h.fail(err)
		}
		h.drain()
		h.work()
	})
}

// Consume takes in what the other side said at a level, in order.
func (h *handshake) Consume(level packet.Level, b []byte) {
	h.mu.Lock()
	h.unread += len(b)
	if !h.closed && h.unread <= maxUnread {
		h.in = append(h.in, input{level, bytes.Clone(b)})
	}
	h.engage()
}

// engage has a goroutine work, if none does. h.mu is locked, and free afterwards.
func (h *handshake) engage() {
	idle := !h.working
	h.working = true
	h.mu.Unlock()
	if idle {
		h.owner.run(h.work)
	}
}

// Next is what has to be done next.
func (h *handshake) Next() packet.Step {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.out) == 0 {
		h.out = nil
		return packet.Step{}
	}
	step := h.out[0]
	h.out[0] = packet.Step{}
	h.out = h.out[1:]
	return step
}

// Peer is the *tls.ConnectionState of a handshake that is done, with the certificates of
// the other side; else nil.
func (h *handshake) Peer() any {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.state == nil {
		return nil
	}
	return h.state
}

// Close gives up, or ends what is done, for which what came last, a ticket, is still
// taken in. A callback that blocks meanwhile sees its context end, and holds up nobody; but
// it keeps its place until it returns.
func (h *handshake) Close() {
	h.cancel()
	h.mu.Lock()
	h.closed, h.out = true, nil
	if h.state == nil {
		h.in, h.unread = nil, 0
	}
	h.engage() // to end crypto/tls's goroutine
}

// leave gives the place among the handshakes under way back. h.mu is locked.
func (h *handshake) leave() {
	if h.under {
		h.under = false
		h.owner.accepting.Add(-1)
	}
}

// work gives crypto/tls what came, until there is no more.
func (h *handshake) work() {
	for {
		h.mu.Lock()
		in, unread, closed := h.in, h.unread, h.closed
		h.in, h.unread = nil, 0
		if unread == 0 && !closed {
			h.working = false
			h.mu.Unlock()
			return
		}
		h.mu.Unlock()
		if unread > maxUnread {
			h.fail(fmt.Errorf("more than %d KiB came while the last was being looked at", maxUnread>>10))
		}
		for _, i := range in {
			h.consume(i)
		}
		if closed {
			h.end()
			h.mu.Lock()
			h.leave()
			h.mu.Unlock()
			return // as if working: nobody is to come after
		}
	}
}

// consume gives crypto/tls what came at a level, and takes what comes of it.
func (h *handshake) consume(i input) {
	switch {
	case h.failed:
	case h.quic == nil:
		h.fail(errors.New("there is no more to say after the handshake"))
	default:
		if err := h.quic.HandleData(level(i.level), i.data); err != nil {
			h.fail(err)
			return
		}
		h.drain()
		if h.done && !h.dialed {
			h.end() // its ticket is under way, and clients say nothing more
		}
	}
}

// drain takes over what crypto/tls has to say.
func (h *handshake) drain() {
	if h.failed {
		return
	}
	var steps []packet.Step
	done := false
	for e := h.quic.NextEvent(); e.Kind != tls.QUICNoEvent; e = h.quic.NextEvent() {
		switch e.Kind {
		case tls.QUICWriteData:
			steps = append(steps, packet.Step{Kind: packet.StepSend, Level: levelOf(e.Level), Bytes: bytes.Clone(e.Data)})
		case tls.QUICSetReadSecret, tls.QUICSetWriteSecret:
			keys, err := h.secret(&e)
			if err != nil {
				h.fail(err)
				return
			}
			if keys != nil {
				steps = append(steps, packet.Step{Kind: packet.StepKeys, Level: levelOf(e.Level), Keys: keys})
			}
		case tls.QUICTransportParameters:
			steps = append(steps, packet.Step{Kind: packet.StepParams, Bytes: bytes.Clone(e.Data)})
		case tls.QUICHandshakeDone:
			done = true
		case tls.QUICErrorEvent:
			h.fail(e.Err)
			return
		}
	}
	if done && !h.done {
		// It comes before the last of the secrets, so that it is told when all is there.
		if !h.finish(&steps) {
			return
		}
	}
	h.tell(steps...)
}

// finish ends a handshake that both sides agree on, and has a server send its ticket.
func (h *handshake) finish(steps *[]packet.Step) bool {
	state := h.quic.ConnectionState()
	if state.NegotiatedProtocol != ALPN {
		h.fail(fmt.Errorf("the other side speaks %q, and this one %q", state.NegotiatedProtocol, ALPN))
		return false
	}
	h.done = true
	*steps = append(*steps, packet.Step{Kind: packet.StepDone})
	if !h.dialed {
		if err := h.quic.SendSessionTicket(tls.QUICSessionTicketOptions{}); err != nil {
			h.fail(err)
			return false
		}
		for e := h.quic.NextEvent(); e.Kind != tls.QUICNoEvent; e = h.quic.NextEvent() {
			if e.Kind == tls.QUICWriteData {
				*steps = append(*steps, packet.Step{Kind: packet.StepSend, Level: levelOf(e.Level), Bytes: bytes.Clone(e.Data)})
			}
		}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.state = &state
	h.leave()
	return true
}

// secret notes a secret, and makes keys once a level has both.
func (h *handshake) secret(e *tls.QUICEvent) (packet.Protection, error) {
	if e.Level == tls.QUICEncryptionLevelEarly {
		return nil, nil // nothing is sent before the other side is known
	}
	at := levelOf(e.Level)
	s := &h.secrets[at]
	s.suite = seal.Suite(e.Suite)
	if e.Kind == tls.QUICSetReadSecret {
		s.read = bytes.Clone(e.Data)
	} else {
		s.written = bytes.Clone(e.Data)
	}
	if s.read == nil || s.written == nil {
		return nil, nil
	}
	keys, err := seal.New(s.suite, h.dialed, s.written, s.read)
	clear(s.read)
	clear(s.written)
	*s = secrets{}
	if err != nil {
		return nil, err
	}
	return keys, nil
}

// tell leaves steps for the loop.
func (h *handshake) tell(steps ...packet.Step) {
	if len(steps) == 0 {
		return
	}
	h.mu.Lock()
	if h.closed {
		h.mu.Unlock()
		return
	}
	h.out = append(h.out, steps...)
	h.mu.Unlock()
	h.wake()
}

// fail ends a handshake, or what should have come after it.
func (h *handshake) fail(err error) {
	h.end()
	h.failed = true
	h.mu.Lock()
	h.leave()
	closed := h.closed
	h.mu.Unlock()
	if !closed { // else that is why
		h.owner.failed(h.peer, h.dialed, err)
		h.tell(packet.Step{Kind: packet.StepFailed, Failure: failure(err, h.dialed)})
	}
}

// end lets go of crypto/tls's part, and waits for its goroutine.
func (h *handshake) end() {
	if h.quic != nil {
		h.quic.Close()
		h.quic = nil
	}
	h.secrets = [packet.LevelApplication + 1]secrets{}
}

func level(l packet.Level) tls.QUICEncryptionLevel {
	switch l {
	case packet.LevelInitial:
		return tls.QUICEncryptionLevelInitial
	case packet.LevelHandshake:
		return tls.QUICEncryptionLevelHandshake
	}
	return tls.QUICEncryptionLevelApplication
}

func levelOf(l tls.QUICEncryptionLevel) packet.Level {
	switch l {
	case tls.QUICEncryptionLevelInitial:
		return packet.LevelInitial
	case tls.QUICEncryptionLevelHandshake:
		return packet.LevelHandshake
	}
	return packet.LevelApplication
}
