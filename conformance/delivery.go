package conformance

import (
	"encoding/binary"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine/transport"
)

// nothingIsLostOrComesTwice sends both ways at once, with an owner each, and
// never more at a time than the other side surely holds.
func nothingIsLostOrComesTwice(t *testing.T, p *pair) {
	const total = 5000
	var both sync.WaitGroup
	var nearHas, farHas atomic.Int64
	both.Go(func() { converse(p.near, total, &nearHas, &farHas) })
	both.Go(func() { converse(p.far, total, &farHas, &nearHas) })
	both.Wait()
	require.False(t, t.Failed())
}

// converse sends total datagrams, and receives as many. Each begins with its
// number, and has a pattern of it behind. received and arrived count what has
// come here and there.
func converse(e *end, total int, received, arrived *atomic.Int64) {
	const header, most = 4, 1000
	random := rand.New(rand.NewPCG(5, 6))
	ahead := min(32, window(e, numbered(1, most)))
	seen := make([]bool, total)
	rx := make([]transport.RxPacket, e.Caps().RxBatch)
	sent, has := 0, 0
	for late := expires(); (sent < total || has < total) && !late() && !e.t.Failed(); {
		moved := 0
		if sent < total && sent < int(arrived.Load())+ahead {
			data := pattern(sent, header+random.IntN(most-header+1))
			binary.LittleEndian.PutUint32(data, uint32(sent))
			tx := make([]transport.TxPacket, 1)
			if e.Reserve(tx) == 1 {
				split := header + random.IntN(len(data)-header+1)
				tx[0].Route, tx[0].Head, tx[0].Payload = e.peer, tx[0].Head[:copy(tx[0].Head, data[:split])], data[split:]
				for len(tx) > 0 {
					n, err := e.Send(tx)
					if !assert.NoError(e.t, err) {
						return
					}
					tx = tx[n:]
				}
				sent++
				moved++
			}
		}
		n, err := e.Recv(rx)
		if !assert.NoError(e.t, err) {
			return
		}
		for _, pkt := range rx[:n] {
			if !assert.GreaterOrEqual(e.t, len(pkt.Data), header, "a datagram was cut off") {
				return
			}
			number := int(binary.LittleEndian.Uint32(pkt.Data))
			want := pattern(number, len(pkt.Data))
			if !assert.True(e.t, number < total && string(want[header:]) == string(pkt.Data[header:]), "a datagram was damaged") ||
				!assert.False(e.t, seen[number], "datagram %d came twice", number) {
				return
			}
			seen[number] = true
		}
		e.Release(rx[:n])
		has += n
		received.Store(int64(has))
		if moved+n == 0 {
			if !assert.NoError(e.t, e.Wait(10*time.Millisecond)) {
				return
			}
		}
	}
	assert.True(e.t, has == total || e.t.Failed(), "%d of %d datagrams arrived: %+v", has, total, e.Stats())
}
