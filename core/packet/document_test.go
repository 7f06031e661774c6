package packet

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	vectors "github.com/peregrine-rpc/peregrine/docs/wire"
)

func TestPacketNumbersAreExpandedAsTheDocumentSays(t *testing.T) {
	t.Parallel()
	var all struct {
		Expand []struct {
			Low    uint32 `json:"low"`
			Near   uint64 `json:"near,string"`
			Number uint64 `json:"number,string"`
		} `json:"expand"`
	}
	require.NoError(t, json.Unmarshal(vectors.Arithmetic, &all))
	require.NotEmpty(t, all.Expand)
	for _, v := range all.Expand {
		require.Equal(t, v.Number, expand(v.Low, v.Near), "%d near %d", v.Low, v.Near)
	}
}

func TestPacketNumbersAreToldApartAsTheDocumentSays(t *testing.T) {
	t.Parallel()
	var all struct {
		Window []struct {
			Arrive []json.Number `json:"arrive"`
			Taken  []bool        `json:"taken"`
		} `json:"window"`
	}
	require.NoError(t, json.Unmarshal(vectors.Arithmetic, &all))
	require.NotEmpty(t, all.Window)
	for _, v := range all.Window {
		var r received
		for i, text := range v.Arrive {
			number, err := text.Int64()
			require.NoError(t, err)
			require.Equal(t, v.Taken[i], r.add(uint64(number)), "%d of %v", number, v.Arrive)
		}
	}
}
