package seal

import (
	"crypto/cipher"
	"encoding/binary"
	"fmt"

	"github.com/peregrine-rpc/peregrine/wire"
)

const ivSize = 12

// key is what one direction's packets are sealed with until its next update.
type key struct {
	aead cipher.AEAD
	iv   [ivSize]byte
	// nonce is memory for the one in use: on the stack it would escape.
	nonce [ivSize]byte
}

func newKey(s Suite, secret []byte) (*key, error) {
	if len(secret) != s.SecretSize() {
		return nil, fmt.Errorf("seal: a secret of %d bytes; %v needs %d", len(secret), s, s.SecretSize())
	}
	raw, err := s.ExpandLabel(secret, "quic key", nil, s.keySize())
	if err != nil {
		return nil, fmt.Errorf("seal: %w", err)
	}
	k := &key{}
	if k.aead, err = s.aead(raw); err != nil {
		return nil, fmt.Errorf("seal: %w", err)
	}
	iv, err := s.ExpandLabel(secret, "quic iv", nil, ivSize)
	if err != nil {
		return nil, fmt.Errorf("seal: %w", err)
	}
	copy(k.iv[:], iv)
	return k, nil
}

// numbered returns the nonce of a packet (RFC 9001, 5.3), good until the next call.
func (k *key) numbered(number uint64) []byte {
	k.nonce = k.iv
	low := k.nonce[ivSize-8:]
	binary.BigEndian.PutUint64(low, binary.BigEndian.Uint64(low)^number)
	return k.nonce[:]
}

// open decrypts what is behind a datagram's header, if there is a key.
func (k *key) open(dst, datagram []byte, number uint64) (plain []byte, ok bool) {
	if k == nil {
		return nil, false
	}
	plain, err := k.aead.Open(dst, k.numbered(number), datagram[wire.HeaderSize:], datagram[:wire.HeaderSize])
	return plain, err == nil
}
