package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/peregrine-rpc/peregrine/cmd/peregrine/internal/measure"
)

const (
	barWidth  = 24
	barRedraw = 100 * time.Millisecond
	nameWidth = 32
)

// progress shows how far a phase of known length is: on a terminal as a bar
// that moves, elsewhere as one line at its end. It uses no colour.
type progress struct {
	out   io.Writer
	name  string
	quit  chan struct{}
	drawn sync.WaitGroup
}

func startProgress(out io.Writer, name string, d time.Duration) *progress {
	p := &progress{out: out, name: name, quit: make(chan struct{})}
	if measure.Width(out) > 0 {
		p.drawn.Go(func() { p.draw(d) })
	}
	return p
}

func (p *progress) draw(d time.Duration) {
	redraw := time.NewTicker(barRedraw)
	defer redraw.Stop()
	for start := time.Now(); ; {
		line := bar(p.name, float64(time.Since(start))/float64(d), measure.Width(p.out))
		fmt.Fprint(p.out, "\r"+line)
		select {
		case <-redraw.C:
		case <-p.quit:
			fmt.Fprint(p.out, "\r"+strings.Repeat(" ", utf8.RuneCountInString(line))+"\r")
			return
		}
	}
}

// bar is a line of less than width columns, so that the cursor stays on it: the
// name, and behind it how much of the whole is done, if there is room.
func bar(name string, done float64, width int) string {
	name = measure.Shorten(name, width-1)
	room := width - 1 - utf8.RuneCountInString(name) - 1
	if room < 4 {
		return name
	}
	pad := max(0, min(nameWidth-utf8.RuneCountInString(name), room-barWidth))
	length := min(barWidth, room-pad)
	full := min(int(float64(length)*done), length)
	return name + strings.Repeat(" ", pad+1) + strings.Repeat("█", full) + strings.Repeat("░", length-full)
}

// ending says how what was shown went.
func ending(ctx context.Context, err error) string {
	switch {
	case ctx.Err() != nil:
		return "interrupted"
	case err != nil:
		return "not measured"
	}
	return "done"
}

// end replaces the bar by how the phase went.
func (p *progress) end(how string) {
	close(p.quit)
	p.drawn.Wait()
	pad := nameWidth
	if width := measure.Width(p.out); width > 0 && pad+1+len(how) > width {
		pad = 0
	}
	fmt.Fprintf(p.out, "%-*s %s\n", pad, p.name, how)
}
