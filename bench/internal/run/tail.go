package run

import (
	"bytes"
	"fmt"
)

// tail keeps the end of what a process complains of.
type tail struct{ text []byte }

const tailSize = 4096

// Write implements io.Writer.
func (t *tail) Write(p []byte) (int, error) {
	t.text = append(t.text, p...)
	t.text = t.text[max(0, len(t.text)-tailSize):]
	return len(p), nil
}

// explain adds the last line to err, or that of a panic, behind which there are only
// places.
func (t *tail) explain(who string, err error) error {
	if err == nil {
		return nil
	}
	lines := bytes.Split(bytes.TrimSpace(t.text), []byte("\n"))
	told := lines[len(lines)-1]
	for _, line := range lines {
		if bytes.HasPrefix(line, []byte("panic: ")) || bytes.HasPrefix(line, []byte("fatal error: ")) {
			told = line
			break
		}
	}
	return fmt.Errorf("%s: %w: %s", who, err, told)
}
