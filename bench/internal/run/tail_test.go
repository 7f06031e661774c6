package run

import (
	"errors"
	"io"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestAFailureIsExplainedByWhatWasSaidLastOrByThePanic(t *testing.T) {
	t.Parallel()
	failed := errors.New("exit status 2")
	for said, told := range map[string]string{
		"warning\nno such host\n": "client: exit status 2: no such host",
		"warning\npanic: not ready\n\ngoroutine 1 [running]:\nmain.main()\n\t/src/main.go:5 +0x1\n": "client: exit status 2: panic: not ready",
		"fatal error: out of memory\n\nruntime stack:\n":                                            "client: exit status 2: fatal error: out of memory",
	} {
		var complaints tail
		_, err := io.WriteString(&complaints, said)
		require.NoError(t, err)
		require.EqualError(t, complaints.explain("client", failed), told)
		require.NoError(t, complaints.explain("client", nil))
	}
}
