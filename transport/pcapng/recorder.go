package pcapng

import (
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"time"

	"github.com/peregrine-rpc/peregrine/transport"
)

// Options say what is recorded, and in how much space. The zero value is all of
// it, in one file.
type Options struct {
	// Snap is how many bytes of each datagram are recorded; 0: all.
	Snap int
	// Every records one in so many datagrams; 0 and 1: all. Requests and responses
	// are then rarely both there.
	Every int
	// Peers, if any, are those whose datagrams are recorded. A port of 0 stands for
	// all ports.
	Peers []netip.AddrPort
	// Methods, if any, are those whose datagrams are recorded: with their requests
	// or the responses to these, as far as Snap shows them, and those that carry no
	// messages because they make, end or move a connection.
	Methods []uint16
	// Buffer is the memory of each transport for what waits to be written, in
	// bytes; 0: 4 MiB.
	Buffer int
	// FileSize, if not 0, begins a file anew when so many bytes are in it, and Files
	// is how many of these are kept, the newest: NAME-000001.pcapng and so on. 0
	// keeps all.
	FileSize int64
	Files    int
}

// readEvery is how long what was captured waits at most.
const readEvery = 20 * time.Millisecond

// Recorder writes what transports send and receive. Its methods may be called from
// any goroutine.
type Recorder struct {
	options Options
	close   chan struct{}
	done    chan struct{} // the goroutine has ended
	over    sync.Once

	lock  sync.Mutex // of what the goroutine shares with Decorate
	taps  []*tap
	err   error
	count Counts

	// The goroutine's:
	files  files
	framer *framer
	filter *filter
}

// tap is one transport.
type tap struct {
	*transport.Capture
	name  string
	stats transport.Stats // as of the last look
}

// Counts is what a recorder did.
type Counts struct {
	Written  uint64 // datagrams
	Filtered uint64 // of methods that were not wanted
	Missed   uint64 // that found no room in a buffer
}

// Create begins a recording in a new file, or in files named after path where
// FileSize bounds them.
func Create(path string, o Options) (*Recorder, error) {
	r := &Recorder{
		options: o, close: make(chan struct{}), done: make(chan struct{}), framer: newFramer(), filter: newFilter(o.Methods),
	}
	r.files = files{path: path, size: o.FileSize, keep: o.Files, snap: o.Snap}
	if err := r.files.open(); err != nil {
		return nil, err
	}
	go r.run()
	return r, nil
}

// Decorate has what passes through a transport recorded, until that closes. queue
// counts the transports of one address, from 0. It is for peregrine.WithDecorator.
func (r *Recorder) Decorate(queue int, inner transport.Transport) transport.Transport {
	o := transport.CaptureOptions{Snap: r.options.Snap, Every: r.options.Every, Buffer: r.options.Buffer}
	if len(r.options.Peers) > 0 {
		o.Peer = r.wants
	}
	c := transport.NewCapture(inner, o)
	name := fmt.Sprintf("%s %v", inner.Caps().Backend, inner.LocalAddr())
	if queue > 0 || inner.Caps().Queues > 1 {
		name += fmt.Sprintf(" queue %d", queue)
	}
	r.lock.Lock()
	defer r.lock.Unlock()
	r.taps = append(r.taps, &tap{Capture: c, name: name})
	return c
}

// wants says whether a peer is among those to record.
func (r *Recorder) wants(peer netip.AddrPort) bool {
	for _, p := range r.options.Peers {
		if p.Addr() == peer.Addr().Unmap() && (p.Port() == 0 || p.Port() == peer.Port()) {
			return true
		}
	}
	return false
}

// Counts is what was done so far.
func (r *Recorder) Counts() Counts {
	r.lock.Lock()
	defer r.lock.Unlock()
	c := r.count
	for _, t := range r.taps {
		c.Missed += t.Missed()
	}
	return c
}

// Close writes what is left and closes the file. Close transports first. Its error
// is the first of writing; after one nothing more was written.
func (r *Recorder) Close() error {
	r.over.Do(func() { close(r.close) })
	<-r.done
	return r.err
}

// run writes what comes, until Close.
func (r *Recorder) run() {
	defer close(r.done)
	tick := time.NewTicker(readEvery)
	defer tick.Stop()
	for over := false; !over; {
		select {
		case <-tick.C:
		case <-r.ready():
		case <-r.close:
			over = true
		}
		r.drain()
	}
	r.err = errors.Join(r.err, r.files.close(r.tapsNow()))
}

// ready is of the first transport: of others, the ticker has to do.
func (r *Recorder) ready() <-chan struct{} {
	if taps := r.tapsNow(); len(taps) > 0 {
		return taps[0].Ready()
	}
	return nil
}

func (r *Recorder) tapsNow() []*tap {
	r.lock.Lock()
	defer r.lock.Unlock()
	return r.taps
}

// drain writes what is there.
func (r *Recorder) drain() {
	var count Counts
	for id, t := range r.tapsNow() {
		stats := t.Stats()
		dropped := drops(&t.stats, &stats)
		read := t.Read(func(f *transport.Frame) {
			if r.err != nil {
				return
			}
			if !r.filter.passes(id, f) {
				count.Filtered++
				return
			}
			r.err = r.files.write(r.tapsNow(), func(w *writer) error {
				return r.framer.write(w.NgWriter, id, f, append(dropped, comments(f)...))
			})
			dropped = nil
			count.Written++
		})
		if read > 0 {
			t.stats = stats
		}
	}
	if r.err == nil {
		r.err = r.files.flush()
	}
	r.lock.Lock()
	r.count.Written += count.Written
	r.count.Filtered += count.Filtered
	r.lock.Unlock()
}
