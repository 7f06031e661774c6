package wiredoc

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
)

// Vector is a test vector.
type Vector struct {
	Name  string
	Error string // empty: valid
	// Ignored says that the bytes have more than Fields, at which no receiver looks: Fields are not encoded to them.
	Ignored bool
	Bytes   []byte
	// Fields is what the bytes say; nil if they say nothing.
	Fields json.RawMessage
}

// Vectors reads the document's.
func Vectors(document string) ([]Vector, error) {
	text, err := os.ReadFile(document)
	if err != nil {
		return nil, err
	}
	var all []Vector
	names := map[string]bool{}
	for info, body := range fences(string(text)) {
		language, rest, _ := strings.Cut(info, " ")
		switch language {
		case "vector":
			name, rest, _ := strings.Cut(rest, " ")
			if names[name] {
				return nil, fmt.Errorf("two vectors are called %q", name)
			}
			names[name] = true
			data, err := ParseHex(body)
			if err != nil {
				return nil, fmt.Errorf("vector %s: %w", name, err)
			}
			v := Vector{Name: name, Ignored: rest == "ignored", Bytes: data}
			if !v.Ignored {
				v.Error = strings.TrimPrefix(rest, "error=")
			}
			all = append(all, v)
		case "json":
			if len(all) == 0 {
				return nil, errors.New("fields come before the first vector")
			}
			all[len(all)-1].Fields = json.RawMessage(body)
		}
	}
	if len(all) == 0 {
		return nil, errors.New("the document has no vectors")
	}
	return all, nil
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

// ParseHex decodes hexadecimal words, "61*3" being 616161, up to comments.
func ParseHex(text string) ([]byte, error) {
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
