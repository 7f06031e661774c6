package seal_test

import (
	"bytes"
	"encoding/hex"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/peregrine-rpc/peregrine/core/packet/seal"
	"github.com/peregrine-rpc/peregrine/wire"
)

var suites = []seal.Suite{seal.AES128GCM, seal.AES256GCM, seal.ChaCha20Poly1305}

// pair is both sides of a connection.
func pair(t require.TestingT, s seal.Suite) (client, server *seal.Keys) {
	return pairOf(t, s, bytes.Repeat([]byte{1}, s.SecretSize()))
}

// pairOf is a pair whose client seals with keys of a secret.
func pairOf(t require.TestingT, s seal.Suite, up []byte) (client, server *seal.Keys) {
	down := bytes.Repeat([]byte{2}, s.SecretSize())
	client, err := seal.New(s, true, up, down)
	require.NoError(t, err)
	server, err = seal.New(s, false, down, up)
	require.NoError(t, err)
	return client, server
}

const (
	header = wire.HeaderSize
	phase  = wire.FlagPhase
)

// datagram is one that is sealed, with its number and the phase in its header.
type datagram struct {
	bytes  []byte
	number uint64
}

func (d datagram) phase() bool { return d.bytes[2]&phase != 0 }

func sealed(k *seal.Keys, number uint64, text string) datagram {
	b := make([]byte, header, header+len(text)+seal.Overhead)
	wire.PutLead(b, wire.Data, wire.FlagSealed, 0, 1, 2, uint32(number))
	return datagram{k.Seal(append(b, text...), number), number}
}

func open(k *seal.Keys, d datagram) (string, bool) {
	text, ok := k.Open(make([]byte, 0, len(d.bytes)), d.bytes, d.number)
	return string(text), ok
}

func opens(t require.TestingT, k *seal.Keys, d datagram) {
	_, ok := open(k, d)
	require.True(t, ok, "number %#x", d.number)
}

func isForged(t require.TestingT, k *seal.Keys, d datagram, about ...any) {
	_, ok := open(k, d)
	require.False(t, ok, about...)
}

func TestWhatOneSideSealsTheOtherOpens(t *testing.T) {
	t.Parallel()
	for _, s := range suites {
		client, server := pair(t, s)
		request := sealed(client, 1, "hello")
		assert.Len(t, request.bytes, header+len("hello")+seal.Overhead)
		assert.NotContains(t, string(request.bytes), "hello")
		text, ok := open(server, request)
		require.True(t, ok)
		assert.Equal(t, "hello", text)

		isForged(t, client, request, "sent back, it opens nothing")

		text, ok = open(client, sealed(server, 1, ""))
		require.True(t, ok)
		assert.Empty(t, text)
	}
}

func TestNothingOfAPacketMayChange(t *testing.T) {
	t.Parallel()
	for _, s := range suites {
		client, server := pair(t, s)
		honest := sealed(client, 1<<40, "the whole of it, or nothing")
		for bit := range 8 * len(honest.bytes) {
			forged := honest
			forged.bytes = bytes.Clone(honest.bytes)
			forged.bytes[bit/8] ^= 1 << (bit % 8)
			isForged(t, server, forged, "%v, bit %d", s, bit)
		}
		for size := range len(honest.bytes) {
			forged := honest
			forged.bytes = honest.bytes[:size]
			isForged(t, server, forged, "%v, %d bytes", s, size)
		}
		for bit := range 64 {
			forged := honest
			forged.number ^= 1 << bit
			isForged(t, server, forged, "%v, bit %d of the number", s, bit)
		}
		text, ok := open(server, honest)
		require.True(t, ok, "and after all that the honest one still opens")
		assert.Equal(t, "the whole of it, or nothing", text)
	}
}

// From RFC 9001: A.2 has AES, of packet 1 of a server's (A.3), A.5 ChaCha20, with the
// secret that an update leads to.
func TestVectorsOfTheRFC(t *testing.T) {
	t.Parallel()
	secret := unhex(t, "3c199828fd139efd216c155ad844cc81fb82fa8d7446fa7d78be803acdda951b")
	key, iv, err := seal.AES128GCM.Key(secret)
	require.NoError(t, err)
	assert.Equal(t, unhex(t, "cf3a5331653c364c88f0f379b6067e37"), key)
	assert.Equal(t, unhex(t, "0ac1493ca1905853b0bba03e"), iv)
	head := unhex(t, "c1000000010008f067a5502a4262b50040750001")
	body := unhex(t, "02000000000600405a020000560303eefce7f7b37ba1d1632e96677825ddf73988cfc79825df566dc5430b9a045a1200130100002e"+
		"00330024001d00209d3c940d89690b84d08a60993c144eca684d1081287c834d5311bcf32bb9da1a002b00020304")
	b, err := seal.AES128GCM.Keyed(secret, head, body, 1)
	require.NoError(t, err)
	assert.Equal(t, "5a482cd0991cd25b0aac406a5816b6394100f37a1c69797554780bb38cc5a99f5ede4cf73c3ec2493a1839b3dbcba3f6ea46c5b"+
		"7684df3548e7d"+
		"deb9c3bf9c73cc3f3bded74b562bfb19fb84022f8ef4cdd93795d77d06edbb7aaf2f58891850abbdca3d20398c276456cbc42158407dd074ee",
		hex.EncodeToString(b))

	secret = unhex(t, "9ac312a7f877468ebe69422748ad00a15443f18203a07d6060f688f30f21632b")
	key, iv, err = seal.ChaCha20Poly1305.Key(secret)
	require.NoError(t, err)
	assert.Equal(t, unhex(t, "c6d98ff3441c3fe1b2182094f69caa2ed4b716b65488960a7a984979fb23e1c8"), key)
	assert.Equal(t, unhex(t, "e0459b3474bdd0e44a41c144"), iv)
	next, err := seal.ChaCha20Poly1305.ExpandLabel(secret, "quic ku", nil, 32)
	require.NoError(t, err)
	assert.Equal(t, unhex(t, "1223504755036d556342ee9361d253421a826c9ecdf3c7148684b36b714881f9"), next)
	b, err = seal.ChaCha20Poly1305.Keyed(secret, unhex(t, "4200bff4"), []byte{1}, 654360564)
	require.NoError(t, err)
	assert.Equal(t, "655e5cd55c41f69080575d7999c25a5bfb", hex.EncodeToString(b))
}

func unhex(t *testing.T, text string) []byte {
	b, err := hex.DecodeString(text)
	require.NoError(t, err)
	return b
}

func TestSealingAndOpeningAllocateNothing(t *testing.T) {
	for _, s := range suites {
		client, server := pair(t, s)
		b, text := make([]byte, 1400, 1500), make([]byte, 0, 1500)
		number := uint64(0)
		assert.Zero(t, testing.AllocsPerRun(100, func() {
			number++
			sealed := client.Seal(b, number)
			if &sealed[0] != &b[0] {
				t.Error("not in place")
			}
			if _, ok := server.Open(text, sealed, number); !ok {
				t.Error("it does not open")
			}
		}), "%v", s)
	}
}

func TestTheClientUpdatesKeysOnceTheServerHasSentSomethingWithThoseBefore(t *testing.T) {
	t.Parallel()
	client, server := pair(t, seal.AES128GCM)
	client.UpdateAfter(3)
	server.UpdateAfter(1)
	for number := range uint64(5) {
		opens(t, server, sealed(client, number+1, "unanswered"))
	}
	send, _ := client.Generations()
	assert.Zero(t, send, "the server may not have these keys yet")

	opens(t, client, sealed(server, 1, "answer"))
	update := sealed(client, 6, "update")
	assert.True(t, update.phase())
	opens(t, server, update)
	send, receive := server.Generations()
	assert.EqualValues(t, 1, send, "the server follows at once")
	assert.EqualValues(t, 1, receive)

	for number := range uint64(5) {
		assert.True(t, sealed(client, 10+number, "").phase(), "the server may not have followed")
	}
	answer := sealed(server, 2, "in the new phase")
	assert.True(t, answer.phase())
	opens(t, client, answer)
	opens(t, server, sealed(client, 20, "again"))
	send, _ = client.Generations()
	assert.EqualValues(t, 2, send)
}

func TestTheClientUpdatesKeysOfAServerThatSendsMuch(t *testing.T) {
	t.Parallel()
	client, server := pair(t, seal.AES128GCM)
	client.UpdateAfter(100)
	for number := range uint64(101) {
		opens(t, client, sealed(server, number+1, "a fragment"))
	}
	opens(t, server, sealed(client, 1<<63+1, "an acknowledgement"))
	_, receive := server.Generations()
	assert.EqualValues(t, 1, receive)
}

func TestDatagramsOfTheKeysBeforeStillOpen(t *testing.T) {
	t.Parallel()
	client, server := pair(t, seal.ChaCha20Poly1305)
	client.UpdateAfter(2)
	first, overtaken := sealed(client, 1, "first"), sealed(client, 2, "overtaken")
	opens(t, server, first)
	opens(t, client, sealed(server, 1, ""))
	opens(t, server, sealed(client, 3, "new keys"))
	text, ok := open(server, overtaken)
	require.True(t, ok)
	assert.Equal(t, "overtaken", text)

	forged := sealed(client, 4, "")
	forged.bytes[2] &^= phase
	isForged(t, server, forged, "a phase that is not the datagram's opens nothing")
	_, received := server.Generations()
	assert.EqualValues(t, 1, received, "and updates nothing")
}

// Two sides send each other datagrams of both sequences over a path that loses and reorders
// them, and update keys as often as they may. All that arrives opens, unless two updates have
// passed it by; and neither side is ever more than one update behind.
func TestUpdatesUnderLossAndReordering(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var sides [2]*seal.Keys
		sides[0], sides[1] = pair(t, rapid.SampledFrom(suites).Draw(t, "suite"))
		sides[0].UpdateAfter(rapid.Uint64Range(1, 8).Draw(t, "update after"))
		// How often each side's datagrams are of the second sequence, of 8: some sides have one only.
		beside := [2]int{rapid.IntRange(0, 8).Draw(t, "client's beside"), rapid.IntRange(0, 8).Draw(t, "server's beside")}
		type sent struct {
			datagram
			generation uint64
		}
		var flight [2][]sent
		var numbers [2][2]uint64
		chance := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "chance"), 1))
		for range 400 {
			from := chance.IntN(2)
			sequence := 0
			if chance.IntN(8) < beside[from] {
				sequence = 1
			}
			numbers[from][sequence]++
			d := sealed(sides[from], numbers[from][sequence]|uint64(sequence)<<63, "text")
			generation, _ := sides[from].Generations()
			flight[from] = append(flight[from], sent{d, generation})
			to := from
			from = 1 - from // what the other sent, some of it lost, some overtaken
			if len(flight[from]) == 0 {
				continue
			}
			at := 0
			if chance.IntN(4) == 0 {
				at = chance.IntN(len(flight[from]))
			}
			s := flight[from][at]
			flight[from] = append(flight[from][:at], flight[from][at+1:]...)
			if chance.IntN(5) == 0 {
				continue
			}
			_, generation = sides[to].Generations()
			text, ok := open(sides[to], s.datagram)
			if s.generation+1 < generation {
				continue // two updates ago: it is as good as lost
			}
			if !ok || text != "text" {
				t.Fatalf("datagram %#x of generation %d, opened in %d: %q", s.number, s.generation, generation, text)
			}
		}
		client, _ := sides[0].Generations()
		server, _ := sides[1].Generations()
		if client < server || client > server+1 {
			t.Fatalf("the client is at %d, the server at %d", client, server)
		}
	})
}

func TestKeysEndBeforeTheyAreUsedUp(t *testing.T) {
	t.Parallel()
	for _, s := range suites {
		client, server := pair(t, s)
		client.Exhaust(2, 3)
		assert.False(t, client.Spent())
		d := sealed(client, 1, "")
		sealed(client, 2, "")
		assert.True(t, client.Spent(), "the server has sent nothing, so there are no others")

		client.Exhaust(2, 2)
		isForged(t, client, d)
		assert.False(t, client.Spent())
		isForged(t, client, d)
		assert.True(t, client.Spent())
		opens(t, server, d)
	}
}

func TestSecretsThatDoNotFitAreRefused(t *testing.T) {
	t.Parallel()
	_, err := seal.New(seal.AES256GCM, true, make([]byte, 32), make([]byte, 48))
	assert.ErrorContains(t, err, "a secret of 32 bytes; TLS_AES_256_GCM_SHA384 needs 48")
	_, err = seal.New(0x1304, true, make([]byte, 32), make([]byte, 32))
	assert.ErrorContains(t, err, "suite 0x1304 is none")
}

func TestTheBestSuiteWorks(t *testing.T) {
	t.Parallel()
	client, server := pair(t, seal.Best())
	opens(t, server, sealed(client, 1, "fast"))
}

// Whatever comes in, it opens only as it was sealed, and the honest datagram after it opens.
func FuzzOpen(f *testing.F) {
	for i, s := range suites {
		client, _ := pair(f, s)
		f.Add(sealed(client, 1, "a seed").bytes, uint8(i), uint64(1))
		f.Add(make([]byte, 40), uint8(i), uint64(1)<<63)
	}
	f.Fuzz(func(t *testing.T, b []byte, which uint8, number uint64) {
		client, server := pair(t, suites[int(which)%len(suites)])
		honest := sealed(client, 1, "a seed")
		text, ok := open(server, datagram{b, number})
		if same := bytes.Equal(b, honest.bytes) && number == 1; ok != same || same && text != "a seed" {
			t.Fatalf("%q, %v", text, ok)
		}
		opens(t, server, sealed(client, 2, "another"))
	})
}
