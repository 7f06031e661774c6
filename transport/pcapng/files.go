package pcapng

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"
)

// files is the file that is written, and those before it that are kept.
type files struct {
	path   string
	size   int64 // 0: one file, of any size
	keep   int   // 0: all
	snap   int
	number int
	kept   []string
	file   *os.File
	buffer *bufio.Writer
	writer *writer
}

// writer is one file.
type writer struct {
	*pcapgo.NgWriter
	written int64
	known   int // interfaces
	begun   time.Time
}

// counted counts what is written.
type counted struct {
	io.Writer
	n *int64
}

func (c counted) Write(b []byte) (int, error) {
	n, err := c.Writer.Write(b)
	*c.n += int64(n)
	return n, err
}

// name is the next file's.
func (f *files) name() string {
	if f.size == 0 {
		return f.path
	}
	f.number++
	extension := filepath.Ext(f.path)
	return fmt.Sprintf("%s-%06d%s", strings.TrimSuffix(f.path, extension), f.number, extension)
}

// open begins the next file, and removes the oldest if there are too many. What was in it
// goes when something is to be recorded.
func (f *files) open() error {
	name := f.name()
	file, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE, 0o666)
	if err != nil {
		return fmt.Errorf("pcapng: cannot record: %w", err)
	}
	f.file, f.buffer, f.writer = file, bufio.NewWriterSize(file, 1<<16), &writer{begun: time.Now()}
	f.kept = append(f.kept, name)
	for f.keep > 0 && len(f.kept) > f.keep {
		err = errors.Join(err, os.Remove(f.kept[0]))
		f.kept = f.kept[1:]
	}
	return err
}

// write has what do writes in the present file, or in the next if that is full.
// The file knows all of taps before.
func (f *files) write(taps []*tap, do func(*writer) error) error {
	w := f.writer
	if f.size > 0 && w.written >= f.size {
		if err := f.close(taps); err != nil {
			return err
		}
		if err := f.open(); err != nil {
			return err
		}
		w = f.writer
	}
	if err := errors.Join(f.introduceAll(taps), do(w)); err != nil {
		return err
	}
	return w.Flush() // into buffer, so that the size is known
}

// introduceAll describes the interfaces that the file does not know yet.
func (f *files) introduceAll(taps []*tap) error {
	for w := f.writer; w.known < len(taps); w.known++ {
		if err := f.introduce(taps[w.known]); err != nil {
			return err
		}
	}
	return nil
}

// introduce describes an interface. The file's head comes with the first.
func (f *files) introduce(t *tap) error {
	caps := t.Caps()
	about := pcapgo.NgInterface{
		Name: t.name, OS: runtime.GOOS, LinkType: layers.LinkTypeRaw, TimestampResolution: 9,
		Description: fmt.Sprintf("Peregrine's transport %s, queue %d of %d", caps.Backend, caps.Queue, max(1, caps.Queues)),
		Comment:     strings.Join(caps.Notes, "; "),
	}
	if f.snap > 0 {
		about.SnapLength = uint32(f.snap + ip6Size + udpSize)
	}
	if f.writer.NgWriter != nil {
		_, err := f.writer.AddInterface(about)
		return err
	}
	if err := f.empty(); err != nil {
		return err
	}
	var err error
	f.writer.NgWriter, err = pcapgo.NewNgWriterInterface(counted{f.buffer, &f.writer.written}, about, pcapgo.NgWriterOptions{
		SectionInfo: pcapgo.NgSectionInfo{Application: "Peregrine", OS: runtime.GOOS, Hardware: runtime.GOARCH},
	})
	return err
}

// empty does away with what an earlier recording left in the file, unless it is a pipe or device.
func (f *files) empty() error {
	if about, err := f.file.Stat(); err != nil || !about.Mode().IsRegular() {
		return err
	}
	return f.file.Truncate(0)
}

func (f *files) flush() error { return f.buffer.Flush() }

// close ends the present file with what is known of its interfaces.
func (f *files) close(taps []*tap) (err error) {
	w := f.writer
	err = f.introduceAll(taps)
	for id, t := range taps[:w.known] {
		stats := t.Stats()
		err = errors.Join(err, w.WriteInterfaceStats(id, pcapgo.NgInterfaceStatistics{
			LastUpdate: time.Now(), StartTime: w.begun, EndTime: time.Now(), PacketsReceived: stats.RxPackets + stats.TxPackets, PacketsDropped: t.Missed(),
		}))
	}
	if w.NgWriter != nil {
		err = errors.Join(err, w.Flush())
	}
	return errors.Join(err, f.flush(), f.file.Close())
}
