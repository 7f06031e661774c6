package core

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A long header is lent to the transport as well. That it has arrived says nothing of
// the message behind it.
func TestAMessageBehindALongHeaderIsNotGivenBackBeforeItIsSent(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, 1)
	server, client, s, served := talks(n, Config{}, false)
	u := talk(s, Stream{Method: talking, Header: pattern(sendCopy+1, 1)})
	message := pattern(200_000, 2)
	more, err := u.Send(message)
	require.NoError(t, err)
	require.False(t, more)
	n.until(func() bool { return u.sent == 1 })
	scrawl(message)
	n.until(func() bool { return len(*served) == 1 && len((*served)[0].got) == 1 })
	require.True(t, (*served)[0].got[0] == string(pattern(200_000, 2)))
	u.Reset(Canceled, "")
	n.settled(server, client)
}

// Also a message that has arrived may be in the transport's hands still, in a datagram
// that was sent again.
func TestAStreamHasNotEndedWhileTheTransportReadsWhatItSent(t *testing.T) {
	t.Parallel()
	for _, size := range []int{sendCopy + 1, 1 << 20} {
		n := newNetwork(t, 1)
		server, client, s, served := talks(n, Config{}, false)
		u := talk(s, Stream{Method: talking})
		n.run(10 * time.Millisecond)
		client.port.Withhold(1 << 40)
		more, err := u.Send(pattern(size, 1))
		require.NoError(t, err)
		require.False(t, more)
		n.run(100 * time.Millisecond)
		require.Len(t, (*served)[0].got, 1)
		u.Reset(Canceled, "")
		n.run(100 * time.Millisecond)
		require.Zero(t, u.sent)
		require.Zero(t, u.ended, "the transport still reads the message")
		client.port.Withhold(0)
		n.run(10 * time.Millisecond)
		require.Equal(t, 1, u.ended)
		n.settled(server, client)
	}
}
