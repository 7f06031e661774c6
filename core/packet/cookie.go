package packet

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"hash"
	"net/netip"
	"time"

	"github.com/peregrine-rpc/peregrine/wire"
)

// cookieLife is how long a client may take to come back with its cookie.
const cookieLife = 10 * time.Second

// cookies makes and checks the proof that a client receives what is sent to
// its address, so that a spoofed Hello leaves no state: a time, and a MAC over
// it and what identifies the client.
type cookies struct {
	mac   hash.Hash
	input [8 + 16 + 2 + 8]byte
	sum   [sha256.Size]byte
}

func newCookies(secret []byte) cookies { return cookies{mac: hmac.New(sha256.New, secret)} }

func (c *cookies) make(from netip.AddrPort, index, token uint32, at time.Duration) (cookie [wire.CookieSize]byte) {
	binary.LittleEndian.PutUint64(c.input[0:], uint64(at))
	ip := from.Addr().As16()
	copy(c.input[8:], ip[:])
	binary.LittleEndian.PutUint16(c.input[24:], from.Port())
	binary.LittleEndian.PutUint32(c.input[26:], index)
	binary.LittleEndian.PutUint32(c.input[30:], token)
	c.mac.Reset()
	c.mac.Write(c.input[:])
	sum := c.mac.Sum(c.sum[:0])
	copy(cookie[:8], c.input[:8])
	copy(cookie[8:], sum)
	return cookie
}

// check says whether hello brings a cookie made for it not long ago.
func (c *cookies) check(from netip.AddrPort, hello *wire.HelloBody, now time.Duration) bool {
	at := time.Duration(binary.LittleEndian.Uint64(hello.Cookie[:]))
	return at <= now && now-at <= cookieLife && c.made(from, hello.Connection, hello.Token, hello.Cookie)
}

// made says whether a cookie was made here, or by another queue of this address,
// for a client.
func (c *cookies) made(from netip.AddrPort, index, token uint32, cookie [wire.CookieSize]byte) bool {
	at := time.Duration(binary.LittleEndian.Uint64(cookie[:]))
	want := c.make(from, index, token, at)
	return hmac.Equal(want[:], cookie[:])
}
