package wire_test

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	behaviour "github.com/peregrine-rpc/peregrine/docs/wire"
	"github.com/peregrine-rpc/peregrine/wire"
)

func TestDeadlinesAreReadAsTheDocumentSays(t *testing.T) {
	t.Parallel()
	var all struct {
		Deadline [][2]json.Number `json:"deadline"`
	}
	require.NoError(t, json.Unmarshal(behaviour.Arithmetic, &all))
	require.NotEmpty(t, all.Deadline)
	for _, v := range all.Deadline {
		field, err := v[0].Int64()
		require.NoError(t, err)
		micros, err := v[1].Int64()
		require.NoError(t, err)
		require.EqualValues(t, micros*1000, wire.DecodeTimeout(uint32(field)), "%d", field)
	}
}
