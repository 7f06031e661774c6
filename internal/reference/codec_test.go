package reference

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine/internal/wiredoc"
)

// The document's vectors decode as it says, and encode to the same bytes again.
func TestTheDocumentsVectorsAreUnderstood(t *testing.T) {
	t.Parallel()
	vectors, err := wiredoc.Vectors("../../docs/wire.md")
	require.NoError(t, err)
	for _, v := range vectors {
		t.Run(v.Name, func(t *testing.T) {
			t.Parallel()
			d, err := decode(v.Bytes)
			if err == nil {
				err = d.understand()
			}
			if v.Error != "" {
				require.EqualError(t, err, v.Error)
				return
			}
			require.NoError(t, err)
			if !v.Ignored {
				require.Equal(t, v.Bytes, d.encode())
			}
			var said struct {
				Type       string
				Connection uint32
				Number     uint32
				Messages   []struct {
					Kind     string
					Body     string
					Sequence uint32
				}
			}
			require.NoError(t, json.Unmarshal(v.Fields, &said))
			require.Equal(t, said.Connection, d.connection)
			if d.kind == typeData || d.sealed != nil {
				require.Equal(t, said.Number, d.number)
			}
			require.Len(t, d.messages, len(said.Messages))
			for i, m := range said.Messages {
				body, err := wiredoc.ParseHex(m.Body)
				require.NoError(t, err)
				require.Equal(t, string(body), string(d.messages[i].body))
				if m.Kind != "close_session" && m.Kind != "ping" && m.Kind != "stream_reset" { // which use none
					require.Equal(t, m.Sequence, d.messages[i].sequence)
				}
			}
		})
	}
}

// understand decodes the body of a control datagram.
func (d *datagram) understand() (err error) {
	if d.sealed != nil {
		return nil
	}
	switch d.kind {
	case typeHello, typeAccept:
		_, err = decodeGreeting(d.control, d.kind == typeHello)
	case typeRefuse, typeClose:
		_, _, err = decodeVerdict(d.control)
	default:
		if least := map[uint8]int{typeRetry: 24, typeReset: 12, typeChallenge: 8, typeResponse: 8, typeCrypto: 20, typePostCrypto: 20}[d.kind]; len(d.control) < least {
			err = errLength
		}
	}
	if err == nil && (d.kind == typeCrypto || d.kind == typePostCrypto) && d.control[16] > 63 {
		err = errType
	}
	return err
}
