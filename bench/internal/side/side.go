package side

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
)

// Listening begins the line that says that a server is ready, as that of
// `peregrine serve` does. The address follows, up to a space.
const Listening = "listening on "

// Announce says on standard output that the server is ready at addr.
func Announce(addr string) { fmt.Printf("%s%s\n", Listening, addr) }

// AwaitEOF returns when standard input ends: the parent is done, or dead.
func AwaitEOF() { _, _ = io.Copy(io.Discard, os.Stdin) }

// WriteResult writes v as JSON to the file at path.
func WriteResult(path string, v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encode the result: %w", err)
	}
	if err := os.WriteFile(path, text, 0o644); err != nil {
		return fmt.Errorf("write the result: %w", err)
	}
	return nil
}
