package peregrine

import (
	"context"
	"errors"
	"time"

	"github.com/peregrine-rpc/peregrine/core"
)

// FlightRecorder says what [WithFlightRecorder] keeps.
type FlightRecorder struct {
	// Records is how many a loop keeps, rounded up to a power of two; 0: 65536, which
	// take 4 MiB. There is one for each call or request that ended, and one for each
	// message that was sent again.
	Records int
	// Failed, if set, is given what a loop has when a call on it has failed: once in
	// Pause at most, 0 being a minute. It runs on a goroutine of its own.
	Failed func(LoopRecording)
	Pause  time.Duration
}

// WithFlightRecorder has each loop keep what happened last to its calls, requests
// and connections, for [Endpoint.Recordings]; package flight makes files and
// sentences of it. It reads no clock and allocates nothing for a call.
func WithFlightRecorder(f FlightRecorder) Option { return func(o *options) { o.flight = &f } }

// LoopRecording is what a loop has kept. It is the receiver's.
type LoopRecording struct {
	// Address and Backend are the endpoint's, Loop counts its loops from 0.
	Address, Backend string
	Loop             int
	// Taken is when this was taken, and Epoch what times of records count from.
	Taken, Epoch time.Time
	// Total is how many records were made, of which Records are the newest, oldest
	// first. Pending are those of calls and requests that were not over.
	Total            uint64
	Records, Pending []core.Record
	Connections      []core.ConnectionRecord
}

const (
	flightRecords = 1 << 16
	flightPause   = time.Minute
)

// record makes the loop's recorder.
func (l *loop) record(f *FlightRecorder) *core.Recorder {
	records, pause := f.Records, f.Pause
	if records <= 0 {
		records = flightRecords
	}
	if pause <= 0 {
		pause = flightPause
	}
	l.recorder = core.NewRecorder(records)
	if f.Failed == nil {
		return l.recorder
	}
	last, told := time.Duration(0), false
	l.recorder.Failed = func() {
		now := l.engine.Packets().Now()
		if told && now-last < pause {
			return
		}
		last, told = now, true
		l.post(message{do: func() { // when the engine is in order
			taken := l.recording()
			go f.Failed(taken)
		}})
	}
	return l.recorder
}

func (l *loop) recording() LoopRecording {
	return LoopRecording{
		Address: l.tr.LocalAddr().String(), Backend: l.tr.Caps().Backend, Loop: l.tr.Caps().Queue, Taken: time.Now(), Epoch: l.epoch,
		Total: l.recorder.Total(), Records: l.recorder.Records(), Pending: l.engine.Pending(), Connections: l.recorder.Connections(),
	}
}

// Recordings are what the loops have kept, with [WithFlightRecorder]; an error
// without. It holds each loop for about a millisecond. A loop that does not answer
// before ctx ends is left out, and part of the error.
func (e *Endpoint) Recordings(ctx context.Context) ([]LoopRecording, error) {
	var all []LoopRecording
	var errs []error
	for _, l := range e.loops {
		if l.recorder == nil {
			return nil, &Error{Code: FailedPrecondition, Message: "nothing is recorded: open the endpoint with WithFlightRecorder"}
		}
		if err := l.ask(ctx, func() { all = append(all, l.recording()) }); err != nil {
			errs = append(errs, err)
		}
	}
	return all, errors.Join(errs...)
}
