package wire_test

import (
	"bytes"
	"encoding/json"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine/internal/wiredoc"
)

// vector is a test vector of docs/wire.md.
type vector struct {
	name  string
	error string // empty: valid
	// ignored says that the bytes have more than fields, at which no receiver looks.
	ignored bool
	bytes   []byte
	// fields is what the bytes say; nil if they say nothing.
	fields *datagram
}

func vectors(t testing.TB) (all []vector) {
	document, err := wiredoc.Vectors("../docs/wire.md")
	require.NoError(t, err)
	for _, v := range document {
		read := vector{name: v.Name, error: v.Error, ignored: v.Ignored, bytes: v.Bytes}
		if v.Fields != nil {
			read.fields = &datagram{}
			decoder := json.NewDecoder(bytes.NewReader(v.Fields))
			decoder.DisallowUnknownFields()
			require.NoError(t, decoder.Decode(read.fields), "fields of vector %s", v.Name)
		}
		all = append(all, read)
	}
	return all
}

// hexBytes are bytes that JSON has in the notation of the document.
type hexBytes []byte

func (h *hexBytes) UnmarshalText(text []byte) (err error) {
	*h, err = wiredoc.ParseHex(string(text))
	return err
}

// hexNumber is a number that JSON has as "0x…".
type hexNumber uint64

func (n *hexNumber) UnmarshalText(text []byte) error {
	v, err := strconv.ParseUint(string(text), 0, 64)
	*n = hexNumber(v)
	return err
}
