package flight

import (
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/peregrine-rpc/peregrine"
)

// Write writes a recording, as JSON that is compressed by gzip.
func (r *Recording) Write(w io.Writer) error {
	z := gzip.NewWriter(w)
	return errors.Join(json.NewEncoder(z).Encode(r), z.Close())
}

// mostRead bounds what a file may take of memory. A loop's recording is 10 MB.
const mostRead = 1 << 30

// Read reads what Write has written.
func Read(r io.Reader) (*Recording, error) {
	z, err := gzip.NewReader(r)
	if err != nil {
		return nil, fmt.Errorf("this is no recording: %w", err)
	}
	recording := new(Recording)
	if err := json.NewDecoder(io.LimitReader(z, mostRead)).Decode(recording); err != nil {
		return nil, fmt.Errorf("this is no recording, or not all of it: %w", err)
	}
	return recording, nil
}

// Save writes a recording to a new file in a folder, which it makes if need be, and
// returns the file's path.
func (r *Recording) Save(folder string) (path string, err error) {
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return "", err
	}
	path = filepath.Join(folder, fmt.Sprintf("%s-%d-%d.rec", r.Taken.UTC().Format("20060102T150405.000"), os.Getpid(), saved.Add(1)))
	file, err := os.Create(path)
	if err != nil {
		return "", err
	}
	return path, errors.Join(r.Write(file), file.Close())
}

// saved tells the files of one instant apart.
var saved atomic.Uint32

// mostKept bounds the recordings that Keep leaves in its folder.
const mostKept = 32

// Keep is the option of an endpoint that saves a recording in a folder when a call
// fails: once a minute for each loop at most. Of recordings in the folder the newest
// 32 stay. What cannot be written is told to failed, which may be nil.
func Keep(folder string, failed func(error)) peregrine.Option {
	return peregrine.WithFlightRecorder(peregrine.FlightRecorder{Pause: time.Minute, Failed: func(l peregrine.LoopRecording) {
		_, err := Of(l).Save(folder)
		if err = errors.Join(err, tidy(folder)); err != nil && failed != nil {
			failed(err)
		}
	}})
}

// tidy removes all recordings but the newest. Their names are in the order of time.
func tidy(folder string) (err error) {
	names, _ := filepath.Glob(filepath.Join(folder, "*.rec"))
	for ; len(names) > mostKept; names = names[1:] {
		if gone := os.Remove(names[0]); gone != nil && !errors.Is(gone, os.ErrNotExist) {
			err = errors.Join(err, gone)
		}
	}
	return err
}
