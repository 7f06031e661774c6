package peregrine_test

import (
	"bytes"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine"
)

// Who keeps what Data returned, or a Response that is a view, finds it
// overwritten in tests, whatever its length.
func TestDataKeptBeyondItsTimeIsPoisoned(t *testing.T) {
	t.Parallel()
	server := serve(t)
	s := connect(t, server)
	for _, size := range []int{1, 100, 1 << 20} {
		for name, handle := range map[string]func(r peregrine.Request, keep func([]byte)){
			"inline": func(r peregrine.Request, keep func([]byte)) {
				keep(r.Data())
				r.Reply(nil)
			},
			"deferred": func(r peregrine.Request, keep func([]byte)) {
				later := r.Defer()
				keep(later.Data())
				later.Reply(nil)
			},
		} {
			kept := make(chan []byte, 1)
			require.NoError(t, server.Handle(7, func(r peregrine.Request) {
				handle(r, func(data []byte) {
					if !bytes.Equal(data, bytes.Repeat([]byte{7}, size)) {
						t.Errorf("%d bytes, %s: damaged while they are valid", size, name)
					}
					kept <- data
				})
			}))
			_, err := s.Call(within(t, time.Minute), 7, bytes.Repeat([]byte{7}, size), nil)
			require.NoError(t, err)
			// The next request of the slot ends the one before for good.
			_, err = s.Call(within(t, time.Minute), echo, nil, nil)
			require.NoError(t, err)
			data := <-kept
			on(t, server, func() {
				require.Equal(t, bytes.Repeat([]byte{0xDB}, size), data[:size], "%d bytes, %s", size, name)
			})
		}
	}
	view := make(chan []byte, 1)
	s.Go(&peregrine.Call{Method: echo, Request: []byte("view"), Done: func(c *peregrine.Call) { view <- c.Response }})
	data := <-view
	seen := make(chan string, 1)
	s.Loop(func() { seen <- string(data) })
	require.Equal(t, "\xDB\xDB\xDB\xDB", <-seen)
}
