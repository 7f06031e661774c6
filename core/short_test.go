package core

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestShortCopiesAreCopies(t *testing.T) {
	t.Parallel()
	src := []byte("0123456789abcdefghijklmnopqrstuvwxyz-.,;")
	for room := range len(src) {
		for n := range len(src) {
			want, got := bytes.Repeat([]byte{'#'}, room), bytes.Repeat([]byte{'#'}, room)
			require.Equal(t, copy(want, src[:n]), copyShort(got, src[:n]))
			require.Equal(t, want, got, "%d bytes in %d", n, room)
		}
	}
}
