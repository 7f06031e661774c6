package seal_test

import (
	"encoding/hex"
	"encoding/json"
	"strconv"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	vectors "github.com/peregrine-rpc/peregrine/docs/wire"
)

// The document's vectors, which another implementation made.
func TestVectorsOfTheDocument(t *testing.T) {
	t.Parallel()
	var document []struct {
		Suite   string
		Updates []struct {
			Secret, Key, IV string
			Datagrams       []struct{ Number, Header, Plain, Sealed string }
		}
	}
	require.NoError(t, json.Unmarshal(vectors.Sealed, &document))
	require.Len(t, document, len(suites))
	for i, of := range document {
		s := suites[i]
		assert.Equal(t, of.Suite, s.String())
		client, server := pairOf(t, s, unhex(t, of.Updates[0].Secret))
		client.UpdateAfter(uint64(len(of.Updates[0].Datagrams)))
		opens(t, client, sealed(server, 1<<62, "so that the client may update keys"))
		for _, update := range of.Updates {
			secret := unhex(t, update.Secret)
			key, iv, err := s.Key(secret)
			require.NoError(t, err)
			assert.Equal(t, update.Key, hex.EncodeToString(key))
			assert.Equal(t, update.IV, hex.EncodeToString(iv))
			for _, d := range update.Datagrams {
				number, err := strconv.ParseUint(d.Number, 10, 64)
				require.NoError(t, err)
				head, text := unhex(t, d.Header), unhex(t, d.Plain)
				b := append(make([]byte, 0, 200), head...)
				b[2] &^= phase // Seal sets it
				got := client.Seal(append(b, text...), number)
				assert.Equal(t, d.Sealed, hex.EncodeToString(got))
				plain, ok := open(server, datagram{got, number})
				assert.True(t, ok)
				assert.Equal(t, string(text), plain)
			}
		}
	}
}
