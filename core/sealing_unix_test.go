//go:build unix

package core_test

import (
	"crypto/aes"
	"crypto/cipher"
	"math/rand/v2"
	"slices"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine/core"
)

// BenchmarkSealing is what an upload of 8 MiB over loopback takes of the processor, client and server together, sealed and
// plain by turns, beside AES-128-GCM by itself at both sides: the least of all turns, which whatever else the host does
// disturbs least. What there is to gain is what sealed takes more than plain and aes.
func BenchmarkSealing(b *testing.B) {
	const size = 8 << 20
	block, err := aes.NewCipher(make([]byte, 16))
	require.NoError(b, err)
	aead, err := cipher.NewGCM(block)
	require.NoError(b, err)
	const datagram = 65487
	memory, nonce := make([]byte, 2*datagram+2*aead.Overhead()), make([]byte, aead.NonceSize())
	cases := []struct {
		name string
		run  func()
	}{
		{"aes", func() {
			for range size / datagram {
				text := memory[: datagram : len(memory)/2]
				text = aead.Seal(text[:0], nonce, text, nil)
				_, _ = aead.Open(memory[len(memory)/2:len(memory)/2], nonce, text, nil)
			}
		}},
	}
	for name, cfg := range map[string]core.Config{"plain": controlled(b, "auto"), "sealed": sealed(b, controlled(b, "auto"))} {
		r := newRigOver(b, cfg, loopback(b, true), loopback(b, true))
		r.upload = size
		session := []*core.Session{r.connect(b)}
		r.load(b, session, 1, 10)
		cases = append(cases, struct {
			name string
			run  func()
		}{name, func() { r.load(b, session, 1, 1) }})
	}
	used := func() int64 {
		var r syscall.Rusage
		require.NoError(b, syscall.Getrusage(syscall.RUSAGE_SELF, &r))
		return r.Utime.Nano() + r.Stime.Nano()
	}
	took := make([][]int64, len(cases))
	for b.Loop() {
		for _, i := range rand.Perm(len(cases)) {
			before := used()
			cases[i].run()
			took[i] = append(took[i], used()-before)
		}
	}
	for i, of := range took {
		b.ReportMetric(float64(slices.Min(of))/(size>>10), cases[i].name+"-ns/KiB")
	}
}
