package unseal

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/peregrine-rpc/peregrine/core/packet"
)

// Log is the secrets of a key log, each of one direction of a connection, in the order in
// which they were written.
type Log struct {
	secrets [packet.LevelApplication + 1][][]byte
}

// labels are those of lines that hold secrets, and what these are of.
var labels = map[string]packet.Level{
	"CLIENT_HANDSHAKE_TRAFFIC_SECRET": packet.LevelHandshake,
	"SERVER_HANDSHAKE_TRAFFIC_SECRET": packet.LevelHandshake,
	"CLIENT_TRAFFIC_SECRET_0":         packet.LevelApplication,
	"SERVER_TRAFFIC_SECRET_0":         packet.LevelApplication,
}

// ReadLog reads a file as SSLKEYLOGFILE names it. What client and server have both
// written counts once; lines of another kind, or cut short, are passed over.
func ReadLog(r io.Reader) (*Log, error) {
	log, known := &Log{}, map[string]bool{}
	lines := bufio.NewReader(r)
	for {
		line, err := lines.ReadString('\n')
		if words := strings.Fields(line); len(words) == 3 {
			level, wanted := labels[words[0]]
			secret, bad := hex.DecodeString(words[2])
			if wanted && bad == nil && len(suites[len(secret)]) > 0 && !known[string(secret)] {
				known[string(secret)] = true
				log.secrets[level] = append(log.secrets[level], secret)
			}
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("the key log cannot be read: %w", err)
		}
	}
	if len(known) == 0 {
		return nil, errors.New("the key log holds no secret of TLS 1.3: SSLKEYLOGFILE, or key_log, must have named it when the connections were made")
	}
	return log, nil
}

// used takes a secret out: it is of one direction of one connection.
func (l *Log) used(level packet.Level, secret []byte) {
	for i, s := range l.secrets[level] {
		if bytes.Equal(s, secret) {
			l.secrets[level] = append(l.secrets[level][:i], l.secrets[level][i+1:]...)
			return
		}
	}
}
