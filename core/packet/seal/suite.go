package seal

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/sha512"
	"fmt"
	"hash"

	"golang.org/x/crypto/chacha20poly1305"
	"golang.org/x/sys/cpu"
)

// Suite is an algorithm for packets and a hash function for keys, by its number in
// TLS 1.3 (RFC 8446, B.4).
type Suite uint16

// The suites.
const (
	AES128GCM        Suite = 0x1301 // with SHA-256
	AES256GCM        Suite = 0x1302 // with SHA-384
	ChaCha20Poly1305 Suite = 0x1303 // with SHA-256
)

// Overhead is how many bytes a sealed packet is longer than what it holds.
const Overhead = 16

// Best is the suite that this processor is fastest with and that is as safe as the
// others: AES where it has instructions for AES and for GCM, else ChaCha20, which needs
// none and leaks nothing through caches.
func Best() Suite {
	if cpu.X86.HasAES && cpu.X86.HasPCLMULQDQ && cpu.X86.HasSSE41 && cpu.X86.HasSSSE3 ||
		cpu.ARM64.HasAES && cpu.ARM64.HasPMULL || cpu.S390X.HasAES && cpu.S390X.HasAESGCM {
		return AES128GCM
	}
	return ChaCha20Poly1305
}

// String is the suite's name in TLS.
func (s Suite) String() string {
	switch s {
	case AES128GCM:
		return "TLS_AES_128_GCM_SHA256"
	case AES256GCM:
		return "TLS_AES_256_GCM_SHA384"
	case ChaCha20Poly1305:
		return "TLS_CHACHA20_POLY1305_SHA256"
	}
	return fmt.Sprintf("suite %#04x", uint16(s))
}

// Hash is the suite's hash function, whose size is that of its secrets.
func (s Suite) Hash() func() hash.Hash {
	if s == AES256GCM {
		return sha512.New384
	}
	return sha256.New
}

// SecretSize is the length of the suite's secrets in bytes.
func (s Suite) SecretSize() int {
	if s == AES256GCM {
		return sha512.Size384
	}
	return sha256.Size
}

func (s Suite) keySize() int {
	if s == AES128GCM {
		return 16
	}
	return 32
}

func (s Suite) aead(key []byte) (cipher.AEAD, error) {
	switch s {
	case AES128GCM, AES256GCM:
		block, err := aes.NewCipher(key)
		if err != nil {
			return nil, err
		}
		return cipher.NewGCM(block)
	case ChaCha20Poly1305:
		return chacha20poly1305.New(key)
	}
	return nil, fmt.Errorf("seal: %v is none that packets are sealed with", s)
}

// ExpandLabel derives size bytes from a secret for what label says, by TLS 1.3's
// HKDF-Expand-Label (RFC 8446, 7.1). context may be nil; label and context are at most
// 249 and 255 bytes.
func (s Suite) ExpandLabel(secret []byte, label string, context []byte, size int) ([]byte, error) {
	const prefix = "tls13 "
	info := make([]byte, 0, 2+1+len(prefix)+len(label)+1+len(context))
	info = append(info, byte(size>>8), byte(size), byte(len(prefix)+len(label)))
	info = append(info, prefix...)
	info = append(info, label...)
	info = append(info, byte(len(context)))
	info = append(info, context...)
	return hkdf.Expand(s.Hash(), secret, string(info), size)
}
