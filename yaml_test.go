package peregrine_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine"
)

// load reads a file of that text, below the line that every file needs.
func load(t *testing.T, text string) (*peregrine.File, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "peregrine.yaml")
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	return peregrine.LoadConfig(path)
}

func TestAFilesErrorsAreInItsUsersTerms(t *testing.T) {
	t.Parallel()
	for text, complaint := range map[string]string{
		"loop: 2":                             `key "loop": unknown key (did you mean "loops"?); known keys are cc, cpus`,
		"loops: two":                          `key "loops": "two" is not a whole number`,
		"loops: [1]":                          `key "loops": a list is not a whole number`,
		"loops: 1.5":                          `key "loops": 1.5 is not a whole number`,
		"loops: 99999999999999999999":         `key "loops": "99999999999999999999" is not a whole number`,
		"loops: true":                         `key "loops": true is not a whole number`,
		"cpus: 3":                             `key "cpus": 3 is not a list: write [3]`,
		"cpus: [a]":                           `key "cpus[0]": "a" is not a whole number`,
		"poll: lazy":                          `key "poll": poll is "lazy"; use busy, adaptive or block`,
		"poll: [1]":                           `key "poll": a list is not a word`,
		"fault: {loss: 1}":                    `key "fault": a mapping is not a text`,
		"engine: 3":                           `key "engine": 3 is not keys and values`,
		"engine: {slot: 1}":                   `key "engine.slot": unknown key (did you mean "slots"?)`,
		"engine: {slots: many}":               `key "engine.slots": "many" is not a whole number`,
		"engine: {keep_alive: 3}":             `key "engine.keep_alive": 3 is not a duration: write a number with its unit`,
		"engine: {keep_alive: 5 s}":           `key "engine.keep_alive": "5 s" is not a duration`,
		"engine: {checksum: maybe}":           `key "engine.checksum": "maybe" is not a truth value`,
		"cc: swft":                            `key "cc.name": there is no controller "swft" (did you mean "swift"?)`,
		"cc: [a]":                             `key "cc": write a controller's name`,
		"cc: {name: swift, target_dlay: 1us}": `key "cc.target_dlay": unknown key (did you mean "target_delay"?)`,
		"cc: {name: swift, target_delay: x}":  `key "cc.target_delay": "x" is not a duration`,
		"cc: {name: swift, target_rtts: x}":   `key "cc.target_rtts": "x" is not a number`,
		"loops: 1\nloops: 2":                  `"loops" already defined`,
		"loops: 1\n---\nloops: 2":             "a second document",
		"loops: {":                            "could not find flow mapping end",
	} {
		_, err := load(t, "transport: udp://127.0.0.1:0\n"+text)
		require.ErrorContains(t, err, complaint, text)
		require.NotContains(t, err.Error(), "Go ", text)
	}
	for text, complaint := range map[string]string{
		"hello":                                `"hello" is not keys and values`,
		"- a":                                  "a list is not keys and values",
		"transport: 3":                         `key "transport": write a URL`,
		"transport: {upd: {}}":                 `there is no backend "upd" (did you mean "udp"?)`,
		"transport: {udp: {adress: x}}":        `udp: key "adress": unknown key (did you mean "address"?)`,
		"transport: {udp: {recv_buffer: big}}": `udp: key "recv_buffer": "big" is not a whole number`,
		"transport: {udp: 3}":                  "3 is not keys and values",
	} {
		_, err := load(t, text)
		require.ErrorContains(t, err, complaint, text)
	}
}

func TestWhatAFileLeavesEmptyIsTheDefault(t *testing.T) {
	t.Parallel()
	f, err := load(t, "transport: {udp: {address: \"127.0.0.1:0\", mtu: }}\nloops:\ncpus:\npoll:\ncc:\nengine: {slots: 1000.0, keep_alive: }\n")
	require.NoError(t, err)
	require.Equal(t, 1, f.Loops)
	require.Equal(t, 1000, f.Engine.Slots)
	require.Equal(t, time.Duration(0), f.Engine.KeepAlive)
	_, err = load(t, "")
	require.ErrorContains(t, err, `key "transport": missing`)
}
