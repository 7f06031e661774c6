package psk

import (
	"fmt"

	"github.com/flynn/noise"

	"github.com/peregrine-rpc/peregrine/core/packet"
	"github.com/peregrine-rpc/peregrine/core/packet/seal"
	"github.com/peregrine-rpc/peregrine/wire"
)

// handshake is one under way. It computes at once, in some tens of microseconds.
type handshake struct {
	security  *Security
	beginning packet.Beginning
	state     *noise.HandshakeState
	suite     seal.Suite
	key       int
	word      []byte // what came of the one that is awaited
	spoken    bool   // accepted: the answer went out
	over      bool
	steps     []packet.Step
}

const (
	suiteSize = 1
	// wordSize is the length of both sides' first words: an X25519 key, what is said, and a tag.
	wordSize = 32 + suiteSize + wire.IdentitySize + seal.Overhead
	// ready is the third word.
	ready = 1

	unauthenticated = 16
	internal        = 13
)

func (h *handshake) step(s packet.Step) { h.steps = append(h.steps, s) }

// payload is what is said beside keys.
func (h *handshake) payload() []byte {
	return append([]byte{byte(h.suite)}, h.beginning.Params...)
}

// Consume takes in what the other side said.
func (h *handshake) Consume(level packet.Level, b []byte) {
	if h.over {
		return
	}
	if level != packet.LevelInitial {
		h.confirm(level, b)
		return
	}
	if h.spoken || len(h.word)+len(b) > wordSize {
		h.fail(unauthenticated, "%v says more than a handshake with a pre-shared key has", h.beginning.Peer)
		return
	}
	if h.word = append(h.word, b...); len(h.word) < wordSize {
		return
	}
	if h.beginning.Dialed {
		h.answered()
	} else {
		h.asked()
	}
}

// asked takes in a client's first word, and answers it.
func (h *handshake) asked() {
	for key := range h.security.keys {
		state, err := h.security.state(false, key)
		if err != nil {
			h.fail(internal, "%v", err)
			return
		}
		said, _, _, err := state.ReadMessage(nil, h.word)
		if err != nil {
			continue
		}
		h.state, h.key = state, key
		h.suite = suiteOf(said[0])
		if best := seal.Best(); best == seal.ChaCha20Poly1305 {
			h.suite = best
		}
		h.step(packet.Step{Kind: packet.StepParams, Bytes: said[suiteSize:]})
		answer, client, server, err := state.WriteMessage(nil, h.payload())
		if err != nil {
			h.fail(internal, "psk: %v", err)
			return
		}
		h.step(packet.Step{Kind: packet.StepSend, Level: packet.LevelInitial, Bytes: answer})
		h.spoken = true
		h.keys(server, client)
		return
	}
	h.fail(unauthenticated, "the client has another pre-shared key than the server")
}

// suiteOf is the suite that a side says: one of two, whatever else it says.
func suiteOf(b byte) seal.Suite {
	if low := seal.ChaCha20Poly1305; b == byte(low) {
		return low
	}
	return seal.AES128GCM
}

// answered takes in the server's word, and confirms it.
func (h *handshake) answered() {
	said, client, server, err := h.state.ReadMessage(nil, h.word)
	if err != nil {
		h.fail(unauthenticated, "%v has another pre-shared key, or somebody on the way has changed what it says", h.beginning.Peer)
		return
	}
	h.suite = suiteOf(said[0])
	h.step(packet.Step{Kind: packet.StepParams, Bytes: said[suiteSize:]})
	h.spoken = true
	h.keys(client, server)
	if h.over {
		return
	}
	h.step(packet.Step{Kind: packet.StepSend, Level: packet.LevelHandshake, Bytes: []byte{ready}})
	h.step(packet.Step{Kind: packet.StepDone})
}

// confirm takes in a client's third word: nobody else could have sealed it.
func (h *handshake) confirm(level packet.Level, b []byte) {
	if h.beginning.Dialed || !h.spoken || level != packet.LevelHandshake || len(b) != 1 || b[0] != ready {
		h.fail(unauthenticated, "%v says more than a handshake with a pre-shared key has", h.beginning.Peer)
		return
	}
	h.over = true
	h.step(packet.Step{Kind: packet.StepDone})
}

// keys makes the keys of both levels from the states that the handshake left.
func (h *handshake) keys(send, receive *noise.CipherState) {
	for _, at := range []struct {
		level packet.Level
		label string
	}{{packet.LevelHandshake, "psk hs"}, {packet.LevelApplication, "psk ap"}} {
		keys, err := h.derive(at.label, send.UnsafeKey(), receive.UnsafeKey())
		if err != nil {
			h.fail(internal, "%v", err)
			return
		}
		h.step(packet.Step{Kind: packet.StepKeys, Level: at.level, Keys: keys})
	}
}

func (h *handshake) derive(label string, send, receive [32]byte) (*seal.Keys, error) {
	out, err := h.suite.ExpandLabel(send[:], label, nil, h.suite.SecretSize())
	if err != nil {
		return nil, err
	}
	in, err := h.suite.ExpandLabel(receive[:], label, nil, h.suite.SecretSize())
	if err != nil {
		return nil, err
	}
	return seal.New(h.suite, h.beginning.Dialed, out, in)
}

func (h *handshake) fail(code uint8, format string, args ...any) {
	h.over = true
	h.step(packet.Step{Kind: packet.StepFailed, Failure: &packet.Failure{Code: code, Reason: fmt.Sprintf(format, args...)}})
}

// Next is the next step.
func (h *handshake) Next() packet.Step {
	if len(h.steps) == 0 {
		return packet.Step{}
	}
	s := h.steps[0]
	h.steps = h.steps[1:]
	return s
}

// Peer is a [Peer].
func (h *handshake) Peer() any { return Peer{h.key} }

// Close forgets secrets.
func (h *handshake) Close() {
	*h = handshake{over: true, key: h.key, beginning: packet.Beginning{Dialed: h.beginning.Dialed}}
}
