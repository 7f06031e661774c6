package wire_test

import (
	"encoding/hex"
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	behaviour "github.com/peregrine-rpc/peregrine/docs/wire"
	"github.com/peregrine-rpc/peregrine/wire"
)

func TestNumbersOfNamesAreReadAsTheDocumentSays(t *testing.T) {
	t.Parallel()
	var all struct {
		Number []struct {
			Name     string `json:"name"`
			Response string `json:"response"`
			Number   int    `json:"number"`
		} `json:"number"`
	}
	require.NoError(t, json.Unmarshal(behaviour.Arithmetic, &all))
	require.NotEmpty(t, all.Number)
	for _, v := range all.Number {
		response, err := hex.DecodeString(v.Response)
		require.NoError(t, err)
		number, err := wire.ParseNumber(response, v.Name)
		if v.Number < 0 {
			require.Error(t, err)
			continue
		}
		require.NoError(t, err)
		require.EqualValues(t, v.Number, number)
		require.Equal(t, response, wire.AppendNumber(nil, v.Name, number))
	}
}

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
