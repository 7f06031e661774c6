package main

import (
	"os"
	"os/signal"
	"sync"
	"syscall"
)

// groups are the process groups of commands that are under way. Tests start processes, and one that is cut short leaves
// them behind.
type groups struct {
	mu  sync.Mutex
	ids map[int]bool
}

var underWay = groups{ids: map[int]bool{}}

func (g *groups) add(id int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.ids[id] = true
}

func (g *groups) end(id int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.ids, id)
	killGroup(id)
}

// endAllOnSignal takes the commands along when this program is told to end: a terminal's interrupt does not reach other
// groups.
func (g *groups) endAllOnSignal() {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		<-signals
		g.mu.Lock() // for good: nothing more is started
		for id := range g.ids {
			killGroup(id)
		}
		os.Exit(130)
	}()
}
