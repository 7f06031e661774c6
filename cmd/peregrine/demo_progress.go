package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/term"
)

const (
	barWidth  = 24
	barRedraw = 100 * time.Millisecond
	// eraseLine goes to the line's beginning and clears it (ECMA-48).
	eraseLine = "\r\x1b[K"
)

// progress shows how far a phase of known length is: on a terminal as a bar
// that moves, elsewhere as one line at its end.
type progress struct {
	out   io.Writer
	name  string
	bar   bool
	quit  chan struct{}
	drawn sync.WaitGroup
}

func startProgress(out io.Writer, name string, d time.Duration) *progress {
	file, ok := out.(*os.File)
	p := &progress{out: out, name: name, quit: make(chan struct{}), bar: ok && term.IsTerminal(int(file.Fd()))}
	if p.bar {
		p.drawn.Go(func() { p.draw(d) })
	}
	return p
}

func (p *progress) draw(d time.Duration) {
	redraw := time.NewTicker(barRedraw)
	defer redraw.Stop()
	for start := time.Now(); ; {
		full := min(int(barWidth*time.Since(start)/d), barWidth)
		fmt.Fprintf(p.out, "%s%-32s %s%s", eraseLine, p.name,
			strings.Repeat("█", full), strings.Repeat("░", barWidth-full))
		select {
		case <-redraw.C:
		case <-p.quit:
			fmt.Fprint(p.out, eraseLine)
			return
		}
	}
}

// end replaces the bar by how the phase went.
func (p *progress) end(well bool) {
	close(p.quit)
	p.drawn.Wait()
	outcome := "done"
	if !well {
		outcome = "failed"
	}
	fmt.Fprintf(p.out, "%-32s %s\n", p.name, outcome)
}
