package uring

import (
	"encoding/binary"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestADatagramIsTakenApart(t *testing.T) {
	t.Parallel()
	const name, control = 32, 48
	buffer := make([]byte, 200)
	binary.NativeEndian.PutUint32(buffer, 16)
	binary.NativeEndian.PutUint32(buffer[4:], 20)
	binary.NativeEndian.PutUint32(buffer[12:], 8)
	n := ReceivedHeader + name + control + copy(buffer[ReceivedHeader+name+control:], "payload")
	r, ok := ParseReceived(buffer, n, name, control)
	require.True(t, ok)
	require.Len(t, r.Name, 16)
	require.Len(t, r.Control, 20)
	require.Equal(t, "payload", string(r.Payload))
	require.EqualValues(t, 8, r.Flags)

	_, ok = ParseReceived(buffer, ReceivedHeader+name+control-1, name, control)
	require.False(t, ok)
	_, ok = ParseReceived(buffer, 201, name, control)
	require.False(t, ok)
}

// FuzzReceived reads buffers as a kernel might have left them.
func FuzzReceived(f *testing.F) {
	f.Add(make([]byte, 100), 100, uint8(32), uint8(40))
	f.Add([]byte("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff.............."), 20, uint8(2), uint8(2))
	f.Fuzz(func(t *testing.T, buffer []byte, n int, name, control uint8) {
		r, ok := ParseReceived(buffer, n, int(name), int(control))
		if !ok {
			return
		}
		require.LessOrEqual(t, len(r.Name), int(name))
		require.LessOrEqual(t, len(r.Control), int(control))
		require.Equal(t, n, ReceivedHeader+int(name)+int(control)+len(r.Payload))
	})
}
