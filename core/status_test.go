package core

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine/transport"
)

func TestErrorsMatchByCode(t *testing.T) {
	t.Parallel()
	err := fmt.Errorf("wrapped: %w", &Error{Code: DeadlineExceeded, Message: "no response in time"})
	require.ErrorIs(t, err, &Error{Code: DeadlineExceeded})
	require.ErrorIs(t, err, &Error{Code: DeadlineExceeded, Message: "no response in time"})
	require.NotErrorIs(t, err, &Error{Code: DeadlineExceeded, Message: "another"})
	require.NotErrorIs(t, err, &Error{Code: Canceled})
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.NotErrorIs(t, err, context.Canceled)
	require.ErrorIs(t, &Error{Code: Canceled}, context.Canceled)
	require.NotErrorIs(t, err, errors.New("any"))
}

func TestErrorsSayWhatHappened(t *testing.T) {
	t.Parallel()
	require.EqualError(t, &Error{Code: Unavailable, Message: "gone", MayHaveExecuted: true}, "Unavailable: gone (the request may have executed)")
	require.EqualError(t, &Error{Code: Unavailable, Message: "gone"}, "Unavailable: gone")
	require.Equal(t, "Unauthenticated", Unauthenticated.String())
	require.Equal(t, "Code(99)", Code(99).String())
	// gRPC's numbers.
	require.EqualValues(t, 4, DeadlineExceeded)
	require.EqualValues(t, 8, ResourceExhausted)
	require.EqualValues(t, 14, Unavailable)
	require.EqualValues(t, 16, Unauthenticated)
}

func TestWhatAPeerSaysDoesNothingToATerminal(t *testing.T) {
	t.Parallel()
	for message, shown := range map[string]string{
		`no such "key" \ größer 漢字`: `no such "key" \ größer 漢字`,
		"\x1b[2J\x1b]0;title\a":     `"\x1b[2J\x1b]0;title\a"`,
		"one\nINFO two":             `"one\nINFO two"`,
		"bytes \xff":                `"bytes \xff"`,
		"\u202egnp.exe":             `"\u202egnp.exe"`,
		"\u0085 and \u009b":         `"\u0085 and \u009b"`,
	} {
		err := &Error{Code: Unavailable, Message: message}
		require.EqualError(t, err, "Unavailable: "+shown)
		err.MayHaveExecuted = true
		require.EqualError(t, err, "Unavailable: "+shown+" (the request may have executed)")
	}
}

func TestTheCodeOfAnErrorIsFoundWhereverItIs(t *testing.T) {
	t.Parallel()
	for want, err := range map[Code]error{
		OK:               nil,
		NotFound:         fmt.Errorf("wrapped: %w", &Error{Code: NotFound}),
		Canceled:         fmt.Errorf("wrapped: %w", context.Canceled),
		DeadlineExceeded: context.DeadlineExceeded,
		Unknown:          errors.New("any"),
		Unavailable:      errors.Join(errors.New("any"), &Error{Code: Unavailable, Cause: context.Canceled}),
	} {
		require.Equal(t, want, CodeOf(err))
	}
}

func TestAnErrorsCauseIsFound(t *testing.T) {
	t.Parallel()
	cause := errors.New("no route")
	require.ErrorIs(t, &Error{Code: Unavailable, Cause: cause}, cause)
	require.NotErrorIs(t, &Error{Code: Unavailable}, cause)
}

func TestStatsAddUp(t *testing.T) {
	t.Parallel()
	a := Stats{CallsStarted: 1, RequestsHeld: 2, ReassemblyBytes: 3, Transport: transport.Stats{RxPackets: 4}}
	b := Stats{CallsStarted: 10, RequestsHeld: 20, ReassemblyBytes: 30, Transport: transport.Stats{RxPackets: 40, TxRefused: 50}}
	a.Add(&b)
	require.Equal(t, Stats{CallsStarted: 11, RequestsHeld: 22, ReassemblyBytes: 33, Transport: transport.Stats{RxPackets: 44, TxRefused: 50}}, a)
}

func TestWhatAHandlerSaysArrivesAsUTF8(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, 1)
	server, _, s := pair(n, Config{})
	server.Handle(2, func(r *Request) { r.Fail(Internal, "broken: \xff\xc0") })
	require.Equal(t, "broken: \uFFFD", n.fails(s, &Call{Method: 2}).Message)

	server.HandleStream(talking, func(s *Stream) {
		s.User = &talker{Stream: s}
		s.Reset(Aborted, strings.Repeat("a", 255)+"ß")
	})
	stream := talk(s, Stream{Method: talking})
	n.until(func() bool { return stream.ended == 1 })
	var err *Error
	require.ErrorAs(t, stream.Err, &err)
	require.Equal(t, strings.Repeat("a", 255), err.Message)
}
