package reference

import (
	"encoding/hex"
	"encoding/json"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	vectors "github.com/peregrine-rpc/peregrine/docs/wire"
)

type pair struct {
	A     uint32 `json:"a"`
	B     uint32 `json:"b"`
	Newer bool   `json:"newer"`
}

// The functions that the document defines give what its examples say.
func TestTheDocumentsArithmetic(t *testing.T) {
	t.Parallel()
	var all struct {
		Expand []struct {
			Low    uint32 `json:"low"`
			Near   uint64 `json:"near,string"`
			Number uint64 `json:"number,string"`
		} `json:"expand"`
		Newer16 []pair `json:"newer16"`
		Newer32 []pair `json:"newer32"`
		Bitmap  []struct {
			Largest  uint64      `json:"largest"`
			Words    []string    `json:"words"`
			Received [][2]uint64 `json:"received"`
		} `json:"bitmap"`
		Fragments []struct {
			Total  uint32      `json:"total"`
			Pieces [][2]uint32 `json:"pieces"`
			Whole  int         `json:"whole"`
		} `json:"fragments"`
		Number []struct {
			Name     string `json:"name"`
			Response string `json:"response"`
			Number   int    `json:"number"`
		} `json:"number"`
	}
	require.NoError(t, json.Unmarshal(vectors.Arithmetic, &all))
	for _, v := range all.Expand {
		require.Equal(t, v.Number, expand(v.Low, v.Near))
	}
	for _, v := range all.Newer16 {
		require.Equal(t, v.Newer, newer16(uint16(v.A), uint16(v.B)), "%d and %d", v.A, v.B)
	}
	for _, v := range all.Newer32 {
		require.Equal(t, v.Newer, newer32(v.A, v.B), "%d and %d", v.A, v.B)
	}
	for _, v := range all.Bitmap {
		want, got := map[uint64]bool{}, map[uint64]bool{}
		for _, span := range v.Received {
			for n := span[0]; n <= span[1]; n++ {
				want[n] = true
			}
		}
		for i, text := range v.Words {
			word, err := strconv.ParseUint(text, 0, 64)
			require.NoError(t, err)
			for j := range 64 {
				if word>>(63-j)&1 != 0 {
					got[v.Largest-uint64(64*i+j)] = true
				}
			}
		}
		require.Equal(t, want, got)
	}
	for _, v := range all.Number {
		response, err := hex.DecodeString(v.Response)
		require.NoError(t, err)
		require.Equal(t, v.Number, numberIn(response, v.Name), "%q", v.Name)
		if v.Number >= 0 {
			require.Equal(t, response, numberOf(v.Name, uint16(v.Number)))
		}
	}
	for _, v := range all.Fragments {
		var a *assembly
		whole := -1
		for i, piece := range v.Pieces {
			stride, index := piece[0], piece[1]
			f := &fragment{total: v.Total, index: index, stride: uint16(stride)}
			if a == nil {
				a = newAssembly(f)
			}
			if _, ok := a.take(&message{fragment: f, body: make([]byte, min(stride, v.Total-index*stride))}); ok && whole < 0 {
				whole = i
			}
		}
		require.Equal(t, v.Whole, whole, "%v", v.Pieces)
	}
}
