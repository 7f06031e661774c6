package peregrine_test

import (
	"encoding/binary"
	"io"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine"
)

// Messages that may travel joined arrive one behind the other, none lost or torn, be they
// longer than a datagram or empty; many of them in few.
func TestMessagesThatMayTravelJoined(t *testing.T) {
	t.Parallel()
	const many, long = 20_000, 100_000
	server := serve(t)
	// A handler that waits for the client finds what it sends meanwhile on its loop.
	_, st := talks(t, server, func(st *peregrine.Stream) error {
		st.Join()
		var message []byte
		for i := range many {
			message = binary.LittleEndian.AppendUint32(message[:0], uint32(i))
			if i == many/2 {
				message = append(message, make([]byte, long)...)
			}
			if err := st.Send(message); err != nil {
				return err
			}
		}
		return nil
	})
	arrived, next, padding := 0, 0, 0
	for {
		message, err := st.Next()
		if err == io.EOF {
			break
		}
		require.NoError(t, err)
		arrived++
		for len(message) > 0 {
			require.EqualValues(t, next, binary.LittleEndian.Uint32(message))
			message = message[4:]
			if next++; next == many/2+1 {
				require.Len(t, message, long, "what is long travels alone")
				padding, message = len(message), nil
			}
		}
	}
	require.Equal(t, many, next)
	require.Equal(t, long, padding)
	require.Less(t, arrived, many/2)
}

// Next's message is the stream's: it is another's memory after the next call, and Recv
// may take turns with it.
func TestNextAndRecvTakeTurns(t *testing.T) {
	t.Parallel()
	_, st := talks(t, serve(t), func(st *peregrine.Stream) error {
		for _, text := range []string{"one", "two", "", "four"} {
			if err := st.Send([]byte(text)); err != nil {
				return err
			}
		}
		return &peregrine.Error{Code: peregrine.Aborted}
	})
	first, err := st.Next()
	require.NoError(t, err)
	require.Equal(t, "one", string(first))
	second, err := st.Recv(nil)
	require.NoError(t, err)
	require.NotEqual(t, "one", string(first), "who keeps it notices, in tests")
	third, err := st.Next()
	require.NoError(t, err)
	require.NotNil(t, third)
	require.Empty(t, third)
	fourth, err := st.Recv(nil)
	require.NoError(t, err)
	require.Equal(t, "two four", string(second)+" "+string(fourth))
	_, err = st.Next()
	require.Equal(t, peregrine.Aborted, peregrine.CodeOf(err))
}

// On a loop Next would wait for itself.
func TestNextOnALoop(t *testing.T) {
	t.Parallel()
	s, st := talks(t, serve(t), func(st *peregrine.Stream) error {
		<-st.Context().Done()
		return nil
	})
	failed := make(chan error)
	s.Loop(func() {
		_, err := st.Next()
		go func() { failed <- err }()
	})
	require.Equal(t, peregrine.ErrOnLoop, <-failed)
	st.Cancel()
	_, err := st.Next()
	require.Equal(t, peregrine.Canceled, peregrine.CodeOf(err))
}

// Messages that may not travel joined stay as many, though there be no byte in them.
func TestEmptyMessagesAreCounted(t *testing.T) {
	t.Parallel()
	const many = 100
	_, st := talks(t, serve(t), func(st *peregrine.Stream) error {
		for range many {
			if err := st.Send(nil); err != nil {
				return err
			}
		}
		return nil
	})
	arrived := 0
	for {
		message, err := st.Next()
		if err == io.EOF {
			break
		}
		require.NoError(t, err)
		require.Empty(t, message)
		arrived++
	}
	require.Equal(t, many, arrived)
}
