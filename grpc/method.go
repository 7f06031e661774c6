package pgrpc

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"

	"github.com/peregrine-rpc/peregrine"
)

// How a call says which method it is for. A server has each of its methods by name in
// the engine, the name being the path, and a client asks once a connection for the number:
// no path travels with calls after that. What the server does not have so goes to the
// number below, with the path in front: it alone knows gRPC's texts, and whether there
// is a handler of unknown methods.

// number is that of the method, and of the streams, that have the path in their opening.
const number = 0x6752

// askAgain is after how many calls with a path the name is asked for again: a server
// that is started anew may have it.
const askAgain = 1024

// method is what a connection knows of a method.
type method struct {
	named    peregrine.Method
	skip     int           // bytes of the path in front
	byPath   atomic.Uint32 // calls since the server did not have the name; 0: it may have it
	byStream atomic.Bool   // Invoke has to open a stream
	replied  atomic.Int64  // bytes of the latest reply that was longer than expected
}

// call calls by one request, whose opening has the path in front.
func (m *method) call(ctx context.Context, request, buf []byte) ([]byte, error) {
	if m.mayBeNamed() {
		response, err := m.named.Call(ctx, request[m.skip:], buf)
		if !m.unnamed(err) {
			return response, err
		}
	}
	return m.named.Session().Call(ctx, number, request, buf)
}

// open opens a stream, likewise.
func (m *method) open(ctx context.Context, opening []byte) (*peregrine.Stream, error) {
	if m.mayBeNamed() {
		stream, err := m.named.Stream(ctx, opening[m.skip:])
		if !m.unnamed(err) {
			return stream, err
		}
	}
	return m.named.Session().Stream(ctx, number, opening)
}

func (m *method) mayBeNamed() bool {
	return m.byPath.Load() == 0 || m.byPath.Add(1)%askAgain == 0
}

// unnamed notes whether err says that the server does not have the name. No handler's
// error does: that may have executed.
func (m *method) unnamed(err error) bool {
	none := false
	if err != nil {
		var engine *peregrine.Error
		none = errors.As(err, &engine) && engine.Code == peregrine.Unimplemented && !engine.MayHaveExecuted
	}
	switch {
	case none:
		m.byPath.Store(1)
	case m.byPath.Load() != 0:
		m.byPath.Store(0)
	}
	return none
}

// methods are what a connection knows of its methods, by path.
type methods struct {
	known sync.Map // of *method
	n     atomic.Int32
}

// maxMethods bounds what is known: where calls are passed on, others choose the paths.
const maxMethods = 4096

func (ms *methods) of(session *peregrine.Session, path string) *method {
	if m, ok := ms.known.Load(path); ok {
		return m.(*method)
	}
	if ms.n.Add(1) > maxMethods { // begin again
		ms.known.Clear()
		ms.n.Store(1)
	}
	m, _ := ms.known.LoadOrStore(path, &method{named: session.Method(path), skip: len(appendMethod(nil, path))})
	return m.(*method)
}
