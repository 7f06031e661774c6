package udp

import (
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine/internal/transporttest"
	"github.com/peregrine-rpc/peregrine/transport"
)

// TestAnEndpointTakesLittleOfTheHeap is not parallel: the heap is the whole
// process's.
func TestAnEndpointTakesLittleOfTheHeap(t *testing.T) {
	const endpoints, most = 20, 128 << 10
	eachAlone(t, func(t *testing.T, v variant) {
		v.at(t, "127.0.0.1:0") // what is made once
		open := make([]transport.Transport, endpoints)
		before := heap()
		for i := range open {
			open[i] = v.at(t, "127.0.0.1:0")
		}
		require.Less(t, (heap()-before)/endpoints, int64(most), "bytes each")
		runtime.KeepAlive(open)
	})
}

func TestWhoReadsAViewTooLateIsNotPunished(t *testing.T) {
	each(t, func(t *testing.T, v variant) {
		a, b := v.at(t, "127.0.0.1:0"), v.at(t, "127.0.0.1:0")
		transporttest.Send(t, a, transporttest.To(t, a, b), "hello")
		late := transporttest.Receive(t, b, 1)[0].Data
		require.NoError(t, b.Close())
		for range 3 {
			runtime.GC()
			require.Len(t, string(late), len("hello"))
		}
	})
}

// heap is the bytes in use after a collection.
func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
