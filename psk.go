package peregrine

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io/fs"
	"os"
	"runtime"
	"slices"
	"strings"

	"github.com/peregrine-rpc/peregrine/core/packet/psk"
)

// PSK is a pre-shared key: 32 bytes from a good generator of random numbers. One
// that was derived from a password can be guessed from recorded traffic. It prints as
// "PSK", lest it get into logs.
type PSK [psk.KeySize]byte

// Format implements [fmt.Formatter].
func (PSK) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte("PSK")) }

// LoadPSK reads pre-shared keys from a file: one a line, as 64 hexadecimal digits or in
// base64, such as openssl rand -hex 32, openssl rand -base64 32 or wg genpsk print.
// Empty lines, and what is behind #, do not count. The first key is used to dial. A file
// that all users of the host may read is refused. Errors are [*ConfigError].
func LoadPSK(path string) ([]PSK, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, &ConfigError{Key: "psk", Problem: err.Error()}
	}
	if info, err := os.Stat(path); err == nil && runtime.GOOS != "windows" && info.Mode().Perm()&othersRead != 0 {
		return nil, &ConfigError{Key: "psk", Problem: fmt.Sprintf("all users may read %s: chmod 600 %[1]s", path)}
	}
	keys, err := ParsePSK(text)
	if err != nil {
		return nil, &ConfigError{Key: "psk", Problem: fmt.Sprintf("%s: %v", path, err)}
	}
	return keys, nil
}

const othersRead fs.FileMode = 0o004

// ParsePSK reads what [LoadPSK] finds in a file. Errors name the line, and show nothing of
// it.
func ParsePSK(text []byte) ([]PSK, error) {
	var keys []PSK
	lines := bufio.NewScanner(bytes.NewReader(text))
	for n := 1; lines.Scan(); n++ {
		line, _, _ := strings.Cut(lines.Text(), "#")
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		key, err := parsePSK(line)
		switch {
		case err != nil:
			return nil, fmt.Errorf("line %d: %w", n, err)
		case slices.Contains(keys, key):
			return nil, fmt.Errorf("line %d: the same key as before", n)
		}
		keys = append(keys, key)
	}
	switch {
	case lines.Err() != nil:
		return nil, fmt.Errorf("not a file of keys: %w", lines.Err())
	case len(keys) == 0:
		return nil, fmt.Errorf("there is no key: write one, with openssl rand -hex %d", psk.KeySize)
	}
	return keys, nil
}

func parsePSK(line string) (key PSK, err error) {
	var raw []byte
	if len(line) == hex.EncodedLen(len(key)) {
		raw, err = hex.DecodeString(line)
	} else {
		raw, err = base64.StdEncoding.DecodeString(line)
	}
	switch {
	case err != nil || len(raw) != len(key):
		return key, fmt.Errorf("no key: write %d hexadecimal digits, or the base64 of %d bytes", hex.EncodedLen(len(key)), len(key))
	case slices.Equal(raw, make([]byte, len(key))):
		return key, fmt.Errorf("all zeros are no key: have one made, with openssl rand -hex %d", len(key))
	}
	return PSK(raw), nil
}
