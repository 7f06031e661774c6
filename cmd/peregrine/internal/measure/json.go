package measure

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
)

// JSONFile is where a command's result goes as JSON. It is opened before the
// command runs, so that a path which cannot be written costs no measurement. A
// nil JSONFile takes results to nowhere.
type JSONFile struct {
	out     io.Writer
	file    *os.File // nil: standard output
	created bool
	written bool
}

// OpenJSON opens the file at path, and leaves what is in it until Write. The path
// "-" is stdout. An empty path is nil.
func OpenJSON(path string, stdout io.Writer) (*JSONFile, error) {
	switch path {
	case "":
		return nil, nil
	case "-":
		return &JSONFile{out: stdout}, nil
	}
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	created := err == nil
	if errors.Is(err, fs.ErrExist) {
		file, err = os.OpenFile(path, os.O_WRONLY|os.O_CREATE, 0o644)
	}
	if err != nil {
		return nil, fmt.Errorf("the result cannot be written: %w", err)
	}
	return &JSONFile{out: file, file: file, created: created}, nil
}

// Write makes v, indented, all that the file holds.
func (f *JSONFile) Write(v any) error {
	if f == nil {
		return nil
	}
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return fmt.Errorf("encode the result: %w", err)
	}
	f.written = true
	_, err = f.out.Write(append(text, '\n'))
	if err == nil && f.file != nil {
		// What is longer of an older result goes. Pipes and devices have none.
		if info, statErr := f.file.Stat(); statErr == nil && info.Mode().IsRegular() {
			err = f.file.Truncate(int64(len(text)) + 1)
		}
	}
	if err != nil {
		return fmt.Errorf("write the result: %w", err)
	}
	return nil
}

// Close removes the file again if it was not there before and holds nothing.
func (f *JSONFile) Close() error {
	if f == nil || f.file == nil {
		return nil
	}
	err := f.file.Close()
	if f.created && !f.written {
		err = errors.Join(err, os.Remove(f.file.Name()))
	}
	return err
}
