package peregrine

import (
	"fmt"
	"net/netip"
	"runtime/debug"
	"sync"
	"sync/atomic"

	"go.uber.org/zap"
)

// mishaps are an endpoint's count of what its handlers did wrong.
type mishaps struct {
	log      *zap.Logger
	crash    bool // the process, when a handler panics
	stale    atomic.Uint64
	panicked atomic.Uint64
	told     sync.Once
}

// misused counts, and says once, that a Request was used when its time was over.
func (m *mishaps) misused() {
	m.stale.Add(1)
	m.told.Do(func() {
		m.log.Error("a Request was used on another goroutine, or after its handler had returned, and did nothing: "+
			"to answer later, call Defer before the handler returns, and use the Request that it returns; "+
			"this is said once, and counted (RequestsMisused)", zap.Stack("stack"))
	})
}

// caught takes in that a handler panicked with value, or ended its goroutine if
// value is nil, and returns all that the client hears of it. The deferred
// function that recovered it calls this, while the handler's stack can be seen
// still.
func (m *mishaps) caught(value any, method uint16, peer netip.AddrPort) (told string) {
	m.panicked.Add(1)
	fields := []zap.Field{zap.Uint16("method", method), zap.Stringer("peer", peer), zap.ByteString("stack", debug.Stack())}
	if value == nil {
		m.log.Error("handler ended its goroutine (runtime.Goexit, or FailNow of a test); its request failed", fields...)
		return "handler ended its goroutine"
	}
	m.log.Error("handler panicked; its request failed", append(fields, zap.String("panic", fmt.Sprint(value)))...)
	if m.crash {
		panic(value)
	}
	return "handler panicked"
}
