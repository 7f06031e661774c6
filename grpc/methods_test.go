package pgrpc

import (
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine"
)

// Where calls are passed on, others choose the paths; what is kept of them is bounded.
func TestMethodsAreBounded(t *testing.T) {
	t.Parallel()
	var ms methods
	session := new(peregrine.Session)
	require.Same(t, ms.of(session, "a"), ms.of(session, "a"))
	for i := range 3 * maxMethods {
		ms.of(session, strconv.Itoa(i))
	}
	n := 0
	ms.known.Range(func(any, any) bool { n++; return true })
	require.LessOrEqual(t, n, maxMethods)
}

// The name that a server did not have is asked for again after a while.
func TestANameIsAskedForAgain(t *testing.T) {
	t.Parallel()
	var m method
	require.True(t, m.mayBeNamed())
	require.True(t, m.unnamed(&peregrine.Error{Code: peregrine.Unimplemented}))
	require.False(t, m.mayBeNamed())
	asked := 0
	for range 4 * askAgain {
		if m.mayBeNamed() {
			asked++
		}
	}
	require.Equal(t, 4, asked)
	require.False(t, m.unnamed(&peregrine.Error{Code: peregrine.Unimplemented, MayHaveExecuted: true}), "a handler said so")
	require.True(t, m.mayBeNamed())
}
