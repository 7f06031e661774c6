// Package psk is the handshake of two sides that have a key in common, for closed racks
// and tools without certificates. It is Noise_NNpsk0_25519_ChaChaPoly_SHA256 (the Noise
// Protocol Framework, revision 34), in the three words that follow:
//
//	client → server   e, the key; the suite it likes best, and who it is
//	server → client   e, ee; the suite to be used, and who it is
//	client → server   a byte, sealed: it has the keys
//
// What it promises: only who has the key gets in, on either side; what was recorded
// stays secret if the key becomes known later, since the secrets of a connection
// come from fresh X25519 keys too (forward secrecy), save for what the client says in
// the first word: its limits. What it does not: all who have the key are alike, and any of
// them can pretend to be the server to another. A first word that is sent again opens
// nothing, because nobody can follow it by the third. A key must be random: one that can
// be guessed can be tried out on recorded traffic.
package psk

import (
	"errors"
	"fmt"
	"io"

	"github.com/flynn/noise"

	"github.com/peregrine-rpc/peregrine/core/packet"
	"github.com/peregrine-rpc/peregrine/core/packet/seal"
	"github.com/peregrine-rpc/peregrine/wire"
)

// KeySize is the length of a key in bytes.
const KeySize = 32

// Security makes handshakes with a key.
type Security struct {
	keys   [][KeySize]byte
	random io.Reader
}

// New makes handshakes with keys: the first is used to connect, and all of them are good
// for clients, so that a key can be replaced. random is for X25519 keys; nil stands for
// crypto/rand.
func New(keys [][KeySize]byte, random io.Reader) (*Security, error) {
	if len(keys) == 0 {
		return nil, errors.New("psk: no key")
	}
	return &Security{keys, random}, nil
}

// Feature is wire.FeaturePSK.
func (s *Security) Feature() uint32 { return wire.FeaturePSK }

// Peer is who has shown to have a key.
type Peer struct {
	// Key is which of the keys, from 0.
	Key int
}

// Begin begins a handshake.
func (s *Security) Begin(b packet.Beginning) (packet.Handshake, error) {
	h := &handshake{security: s, beginning: b}
	if !b.Dialed {
		return h, nil
	}
	var err error
	if h.state, err = s.state(true, 0); err != nil {
		return nil, err
	}
	h.suite = seal.Best()
	word, _, _, err := h.state.WriteMessage(nil, h.payload())
	if err != nil {
		return nil, fmt.Errorf("psk: %w", err)
	}
	h.step(packet.Step{Kind: packet.StepSend, Level: packet.LevelInitial, Bytes: word})
	return h, nil
}

// algorithms are those of the handshake. They need no instructions of the processor.
var algorithms = noise.NewCipherSuite(noise.DH25519, noise.CipherChaChaPoly, noise.HashSHA256)

func (s *Security) state(dialed bool, key int) (*noise.HandshakeState, error) {
	state, err := noise.NewHandshakeState(noise.Config{
		CipherSuite: algorithms, Random: s.random, Pattern: noise.HandshakeNN, Initiator: dialed,
		Prologue: []byte("peregrine/1"), PresharedKey: s.keys[key][:], PresharedKeyPlacement: 0,
	})
	if err != nil {
		return nil, fmt.Errorf("psk: %w", err)
	}
	return state, nil
}
