package core_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine/core"
	"github.com/peregrine-rpc/peregrine/core/packet"
	"github.com/peregrine-rpc/peregrine/core/packet/psk"
)

func withKey(t *testing.T) packet.Security {
	security, err := psk.New([][psk.KeySize]byte{{1}}, nil)
	require.NoError(t, err)
	return security
}

func TestASmallRPCAllocatesNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	for _, tc := range []struct {
		name   string
		cfg    core.Config
		window int
		size   int
		trace  *core.Trace
	}{
		{"one at a time", core.Config{}, 1, 32, nil},
		{"64 at once", core.Config{}, 64, 32, nil},
		{"64 at once, not coalesced", core.Config{NoCoalesce: true}, 64, 32, nil},
		{"more than there are slots", core.Config{Slots: 16}, 64, 32, nil},
		{"with checksums", core.Config{Checksum: true}, 64, 32, nil},
		{"lent, not copied", core.Config{}, 8, 2000, nil},
		{"told of when it ends", core.Config{Ended: func(core.Side, uint16, core.Code, time.Duration, uint64) {}}, 64, 32, nil},
		{"recorded", core.Config{Recorder: core.NewRecorder(64)}, 64, 32, nil},
		{"in fragments", core.Config{}, 4, 20_000, nil},
		{"sealed", core.Config{Security: withKey(t)}, 64, 32, nil},
		{"traced", core.Config{}, 64, 32, &core.Trace{TraceID: [16]byte{1}, SpanID: [8]byte{2}}},
		{"sealed, in fragments", core.Config{Security: withKey(t)}, 4, 20_000, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := newRig(t, tc.cfg)
			s := r.connect(t)
			const rounds = 20
			done, started := 0, 0
			var failure error
			calls := make([]core.Call, tc.window)
			for i := range calls {
				calls[i] = core.Call{Method: 1, Request: make([]byte, tc.size), Buf: make([]byte, tc.size), Trace: tc.trace}
				calls[i].Timeout = 10e9
				calls[i].Done = func(c *core.Call) {
					if c.Err != nil {
						failure = c.Err
					}
					if done++; started < rounds*tc.window {
						started++
						s.Submit(c)
					}
				}
			}
			round := func() {
				started, done = len(calls), 0
				for i := range calls {
					s.Submit(&calls[i])
				}
				for done < rounds*tc.window {
					r.turn()
				}
			}
			for range 50 {
				round() // rings and pools grow to what is needed
			}
			allocs := testing.AllocsPerRun(20, round)
			require.NoError(t, failure)
			require.Zero(t, allocs, "in %d calls", rounds*tc.window)
		})
	}
}
