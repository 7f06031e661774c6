package wire_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// vector is a test vector of docs/wire.md.
type vector struct {
	name  string
	error string // empty: valid
	bytes []byte
	// fields is what the bytes say; nil if they say nothing.
	fields *datagram
}

// vectors reads the document, which is the one place where vectors are kept.
func vectors(t testing.TB) []vector {
	text, err := os.ReadFile("../docs/wire.md")
	require.NoError(t, err)
	var all []vector
	names := map[string]bool{}
	for info, body := range fences(string(text)) {
		language, rest, _ := strings.Cut(info, " ")
		switch language {
		case "vector":
			name, rest, _ := strings.Cut(rest, " ")
			require.False(t, names[name], "two vectors are called %q", name)
			names[name] = true
			data, err := parseHex(body)
			require.NoError(t, err, "vector %s", name)
			all = append(all, vector{name: name, error: strings.TrimPrefix(rest, "error="), bytes: data})
		case "json":
			require.NotEmpty(t, all)
			v := &all[len(all)-1]
			v.fields = &datagram{}
			decoder := json.NewDecoder(strings.NewReader(body))
			decoder.DisallowUnknownFields()
			require.NoError(t, decoder.Decode(v.fields), "fields of vector %s", v.name)
		}
	}
	require.NotEmpty(t, all)
	return all
}

// fences yields the fenced blocks of a Markdown text: what follows the opening
// backquotes, and the lines between.
func fences(text string) func(yield func(info, body string) bool) {
	return func(yield func(info, body string) bool) {
		var info string
		var body []string
		inside := false
		for line := range strings.Lines(text) {
			line = strings.TrimSpace(line)
			fence, is := strings.CutPrefix(line, "```")
			switch {
			case is && inside:
				if !yield(info, strings.Join(body, "\n")) {
					return
				}
				inside = false
			case is:
				info, body, inside = fence, nil, true
			case inside:
				body = append(body, line)
			}
		}
	}
}

// parseHex decodes hexadecimal words, "61*3" being 616161, up to comments.
func parseHex(text string) ([]byte, error) {
	var out []byte
	for line := range strings.Lines(text) {
		line, _, _ = strings.Cut(line, "#")
		for word := range strings.FieldsSeq(line) {
			digits, times, repeated := strings.Cut(word, "*")
			piece, err := hex.DecodeString(digits)
			if err != nil {
				return nil, err
			}
			n := 1
			if repeated {
				if n, err = strconv.Atoi(times); err != nil || n < 0 || n > 1<<16 {
					return nil, fmt.Errorf("%q repeats by a wrong count", word)
				}
			}
			out = append(out, bytes.Repeat(piece, n)...)
		}
	}
	return out, nil
}

// hexBytes are bytes that JSON has in the notation of parseHex.
type hexBytes []byte

func (h *hexBytes) UnmarshalText(text []byte) (err error) {
	*h, err = parseHex(string(text))
	return err
}

// hexNumber is a number that JSON has as "0x…".
type hexNumber uint64

func (n *hexNumber) UnmarshalText(text []byte) error {
	v, err := strconv.ParseUint(string(text), 0, 64)
	*n = hexNumber(v)
	return err
}
