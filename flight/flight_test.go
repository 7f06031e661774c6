package flight_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/peregrine-rpc/peregrine"
	"github.com/peregrine-rpc/peregrine/flight"
	_ "github.com/peregrine-rpc/peregrine/transport/mem"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patient is for hosts that are busy with something else.
var patient = peregrine.WithConfig(peregrine.Config{KeepAlive: time.Minute, ConnectTimeout: time.Minute})

// pair is a recorded server that echoes, and a recorded client of one slot.
func pair(t *testing.T, opts ...peregrine.Option) (server *peregrine.Endpoint, s *peregrine.Session) {
	t.Helper()
	server, err := peregrine.Listen("mem://127.0.0.1:0", patient, peregrine.WithFlightRecorder(peregrine.FlightRecorder{}),
		peregrine.WithHandler(1, func(r peregrine.Request) { r.Reply(r.Data()) }))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, server.Close()) })
	s, err = peregrine.Dial(within(t), server.Addr().String(), append([]peregrine.Option{
		peregrine.WithTransport("mem://127.0.0.1:0"), peregrine.WithFault(""), patient, peregrine.WithConfig(peregrine.Config{Slots: 1}),
	}, opts...)...)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return server, s
}

func within(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// told is what is explained of an endpoint.
func told(t *testing.T, e *peregrine.Endpoint, c flight.Choice) string {
	t.Helper()
	r, err := flight.Take(within(t), e)
	require.NoError(t, err)
	var file bytes.Buffer
	require.NoError(t, r.Write(&file))
	again, err := flight.Read(&file)
	require.NoError(t, err)
	var text strings.Builder
	require.NoError(t, again.Explain(&text, c))
	return text.String()
}

func TestTheStoryOfACallIsTold(t *testing.T) {
	t.Parallel()
	server, s := pair(t, peregrine.WithFlightRecorder(peregrine.FlightRecorder{}))
	client := s.Endpoint()
	require.Eventually(t, func() bool { return s.MTU() == client.Caps().MaxPayload }, time.Minute, time.Millisecond, "nothing else is under way")
	require.NoError(t, client.SetFaults("loss=1"))
	done := make(chan error, 2)
	for range 2 {
		s.Go(&peregrine.Call{Method: 1, Request: []byte("hello"), Done: func(c *peregrine.Call) { done <- c.Err }})
	}
	require.Eventually(t, func() bool { return client.Stats().ProbeTimeouts >= 2 }, time.Minute, time.Millisecond)
	waiting := told(t, client, flight.Choice{})
	require.Contains(t, waiting, "is not over after")
	require.Contains(t, waiting, "It waits for a slot or a connection since it began.")
	require.Contains(t, waiting, "It was queued for sending the last time ")
	require.NoError(t, client.SetFaults(""))
	require.NoError(t, <-done)
	require.NoError(t, <-done)

	text := told(t, client, flight.Choice{})
	require.Contains(t, text, "2 calls ended, 0 requests answered, 0 of both failed, 0 are not over")
	require.Contains(t, text, "connected with the server "+server.Addr().String())
	first, second, both := strings.Cut(text, "Call ")
	require.True(t, both, first)
	require.Contains(t, second, " of method 1 to "+server.Addr().String())
	require.Contains(t, text, "Of the request, ")
	require.Regexp(t, `the packet that left [0-9.µms]+ before was taken as lost, after [0-9.µms]+ of silence, to find out`, text)
	require.Regexp(t, `The response came [0-9.µms]+ after that`, text)
	require.Regexp(t, `It waited [0-9.µms]+ for a slot or a connection`, text)

	require.Contains(t, told(t, server, flight.Choice{}), "was answered after ")
	other := uint16(7)
	require.Contains(t, told(t, client, flight.Choice{Method: &other}), "No such call was recorded")
	require.Contains(t, told(t, client, flight.Choice{Failed: true}), "No such call was recorded")
}

func TestAFailedCallLeavesARecording(t *testing.T) {
	t.Parallel()
	folder := filepath.Join(t.TempDir(), "here")
	_, s := pair(t, flight.Keep(folder, func(err error) { t.Error(err) }))
	for range 3 {
		_, err := s.Call(within(t), 9, nil, nil)
		require.Equal(t, peregrine.Unimplemented, peregrine.CodeOf(err))
	}
	var recordings []string
	require.Eventually(t, func() bool {
		recordings, _ = filepath.Glob(filepath.Join(folder, "*.rec"))
		return len(recordings) == 1
	}, time.Minute, time.Millisecond)
	var text strings.Builder
	require.Eventually(t, func() bool { // until it is whole
		file, err := os.Open(recordings[0])
		require.NoError(t, err)
		defer file.Close()
		r, err := flight.Read(file)
		return err == nil && r.Explain(&text, flight.Choice{Failed: true}) == nil
	}, time.Minute, time.Millisecond)
	require.Regexp(t, `Call \d+\.0\.0\.1 of method 9 to .*, failed after .* with Unimplemented`, text.String())
	recordings, _ = filepath.Glob(filepath.Join(folder, "*.rec"))
	require.Len(t, recordings, 1, "once a minute")
}

func TestWithoutARecorderThereIsNothingToTake(t *testing.T) {
	t.Parallel()
	_, s := pair(t)
	_, err := flight.Take(within(t), s.Endpoint())
	require.ErrorContains(t, err, "WithFlightRecorder")
}

// test is one that fails, or not.
type test struct {
	fails   bool
	folder  string
	cleanup func()
	log     string
}

func (f *test) Helper()                    {}
func (f *test) Cleanup(do func())          { f.cleanup = do }
func (f *test) Failed() bool               { return f.fails }
func (f *test) ArtifactDir() string        { return f.folder }
func (f *test) Logf(text string, a ...any) { f.log += fmt.Sprintf(text, a...) }

func TestATestThatFailsSaysWhatHappened(t *testing.T) {
	t.Parallel()
	_ = flight.Tester(t)
	server, s := pair(t)
	_, err := s.Call(within(t), 1, nil, nil)
	require.NoError(t, err)
	passing := &test{}
	flight.OnFailure(passing, server)
	passing.cleanup()
	require.Empty(t, passing.log)
	failing := &test{fails: true, folder: t.TempDir()}
	flight.OnFailure(failing, server)
	failing.cleanup()
	require.Contains(t, failing.log, "1 requests answered")
	names, err := filepath.Glob(filepath.Join(failing.folder, "*.rec"))
	require.NoError(t, err)
	require.Len(t, names, 1)
	require.Contains(t, failing.log, names[0])
}

func TestCallsHaveNames(t *testing.T) {
	t.Parallel()
	id := flight.ID{Connection: 1 << 24, Session: 2, Slot: 3, Sequence: 4}
	again, err := flight.ParseID(id.String())
	require.NoError(t, err)
	require.Equal(t, id, again)
	for _, bad := range []string{"", "1.2.3", "1.2.3.4.5", "a.b.c.d", "1.2.3.99999999999"} {
		_, err := flight.ParseID(bad)
		require.Error(t, err, bad)
	}
}

func FuzzRead(f *testing.F) {
	var file bytes.Buffer
	r := flight.Recording{Loops: []flight.Loop{{Events: []flight.Event{{At: 5, Since: 1, Kind: 1}, {Kind: 200}, {Kind: 3, Code: 9}}}}}
	require.NoError(f, r.Write(&file))
	f.Add(file.Bytes())
	f.Add([]byte("not gzip"))
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := flight.Read(bytes.NewReader(data))
		if err != nil {
			require.Nil(t, r)
			return
		}
		require.NoError(t, r.Explain(&strings.Builder{}, flight.Choice{}))
		require.Error(t, r.Explain(full{}, flight.Choice{}))
	})
}

// full takes nothing.
type full struct{}

func (full) Write([]byte) (int, error) { return 0, errors.New("full") }
