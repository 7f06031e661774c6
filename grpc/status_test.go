package pgrpc

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/status"

	"github.com/peregrine-rpc/peregrine"
)

// The host's word for why a call failed is in the status once, whether or not the engine's
// message has it.
func TestTheCauseOfAFailureIsToldOnce(t *testing.T) {
	t.Parallel()
	for message, want := range map[string]string{
		"connect to [::1]:1: connection refused": "connect to [::1]:1: connection refused",
		"no answer from [::1]:1":                 "no answer from [::1]:1: connection refused",
	} {
		err := engineError(&peregrine.Error{Code: peregrine.Unavailable, Message: message, Cause: errors.New("connection refused")})
		require.Equal(t, want, status.Convert(err).Message())
	}
}
