package core_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine/core"
)

// pump sends messages of one size as fast as it may, and answers those that it
// receives with as many if it echoes.
type pump struct {
	*core.Stream
	message []byte
	left    int // to send
	waits   bool
	got     int
	echoes  bool
}

func (p *pump) run() {
	for p.left > 0 && !p.waits {
		p.left--
		more, _ := p.Send(p.message)
		p.waits = !more
	}
}

func (p *pump) Opened(*core.Stream, []byte) {}
func (p *pump) Closed(*core.Stream)         {}
func (p *pump) Ended(*core.Stream)          {}

func (p *pump) Received(_ *core.Stream, message []byte) {
	p.got++
	if p.echoes {
		p.left++
		p.run()
	}
	p.Receive()
}

func (p *pump) Sent(*core.Stream) {
	p.waits = false
	p.run()
}

func TestAStreamsMessageAllocatesNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	for _, tc := range []struct {
		name   string
		size   int
		count  int
		echoes bool
	}{
		{"one at a time", 32, 1, true},
		{"in a row", 32, 2000, false},
		{"in a row and back", 32, 500, true},
		{"lent, not copied", 2000, 500, true},
		{"in fragments", 20_000, 20, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := newRig(t, core.Config{})
			far := &pump{message: make([]byte, tc.size), echoes: tc.echoes}
			r.server.HandleStream(1, func(s *core.Stream) {
				far.Stream, s.User = s, far
				s.Receive()
			})
			near := &pump{message: make([]byte, tc.size)}
			near.Stream = &core.Stream{Method: 1, User: near}
			r.connect(t).Open(near.Stream)
			near.Receive()
			rounds := 0
			round := func() {
				rounds++
				near.left += tc.count
				near.run()
				for far.got < rounds*tc.count || tc.echoes && near.got < rounds*tc.count {
					r.turn()
				}
			}
			for range 100 {
				round() // windows, rings and pools grow to what is needed
			}
			allocs := 1.0
			for range 10 { // what was idle for a second is given back, which on a slow host may be between two messages
				if allocs = testing.AllocsPerRun(20, round); allocs == 0 {
					break
				}
			}
			require.Zero(t, allocs, "in %d messages", tc.count)
		})
	}
}
