package seal

// Exhaust leaves room for so many packets, to be sealed and to fail.
func (k *Keys) Exhaust(toSeal, toFail uint64) {
	k.send.limit = k.send.sealed + toSeal
	k.recv.limit = k.recv.forged + toFail
}

// Generations is how many updates there were, of what is sent and what is received.
func (k *Keys) Generations() (send, receive uint64) { return k.send.generation, k.recv.generation }

// Key is what a suite makes of a secret.
func (s Suite) Key(secret []byte) (key, iv []byte, err error) {
	if key, err = s.ExpandLabel(secret, "quic key", nil, s.keySize()); err != nil {
		return nil, nil, err
	}
	iv, err = s.ExpandLabel(secret, "quic iv", nil, ivSize)
	return key, iv, err
}

// Keyed is a suite's key of a secret, as it seals a packet whose header may be of any length.
func (s Suite) Keyed(secret, header, text []byte, number uint64) ([]byte, error) {
	k, err := newKey(s, secret)
	if err != nil {
		return nil, err
	}
	return k.aead.Seal(nil, k.numbered(number), text, header), nil
}
