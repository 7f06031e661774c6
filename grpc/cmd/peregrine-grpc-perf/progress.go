package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"
)

const (
	redraw   = 100 * time.Millisecond
	barWidth = 40
)

// showsProgress is what shows on a terminal how far a measurement is, and elsewhere
// nothing.
func showsProgress(out io.Writer) func(*turns) (stop func()) {
	if file, is := out.(*os.File); !is || !terminal(file) {
		return func(*turns) func() { return func() {} }
	}
	return func(t *turns) func() { return draw(out, t) }
}

func terminal(file *os.File) bool {
	info, err := file.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// draw draws a bar until stop is called, which removes it.
func draw(out io.Writer, t *turns) (stop func()) {
	quit := make(chan struct{})
	var drawn sync.WaitGroup
	drawn.Go(func() {
		ticker := time.NewTicker(redraw)
		defer ticker.Stop()
		for {
			select {
			case <-ticker.C:
				full := int(barWidth * t.share())
				fmt.Fprintf(out, "\r%s%s %d", strings.Repeat("█", full), strings.Repeat("░", barWidth-full), t.taken.Load())
			case <-quit:
				fmt.Fprintf(out, "\r%s\r", strings.Repeat(" ", barWidth+1+len(fmt.Sprint(t.taken.Load()))))
				return
			}
		}
	})
	return func() {
		close(quit)
		drawn.Wait()
	}
}
