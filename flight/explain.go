package flight

import (
	"bufio"
	"cmp"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/peregrine-rpc/peregrine"
	"github.com/peregrine-rpc/peregrine/core"
)

// Choice says which calls and requests Explain tells of. The zero value is what is
// likely to be asked for: what is not over, what failed, and the slowest, ten at most.
type Choice struct {
	Call   *ID     // this one only
	Method *uint16 // of this method only
	Failed bool    // what failed only
	Most   int     // how many; 0: 10
}

const defaultMost = 10

// Explain tells in words what happened to the calls of a choice, a paragraph each.
func (r *Recording) Explain(w io.Writer, c Choice) error {
	out := bufio.NewWriter(w)
	r.summary(out)
	var stories []story
	for i := range r.Loops {
		stories = append(stories, r.Loops[i].stories(c)...)
	}
	slices.SortStableFunc(stories, func(a, b story) int {
		return cmp.Or(cmp.Compare(b.weight(), a.weight()), cmp.Compare(b.event.At-b.event.Since, a.event.At-a.event.Since))
	})
	most := c.Most
	if most <= 0 {
		most = defaultMost
	}
	if len(stories) == 0 {
		fmt.Fprintln(out, "\nNo such call was recorded, or it was too long ago.")
	}
	for i, s := range stories {
		if i == most {
			fmt.Fprintf(out, "\nThere are %d more.\n", len(stories)-most)
			break
		}
		fmt.Fprintln(out)
		s.tell(out)
	}
	return out.Flush()
}

// summary says what there is.
func (r *Recording) summary(w io.Writer) {
	fmt.Fprintf(w, "%s over %s, recorded until %s.\n", r.Address, r.Backend, r.Taken.Format("2006-01-02 15:04:05.000000"))
	for i := range r.Loops {
		l := &r.Loops[i]
		var count [core.RequestPending + 1]int
		failed := 0
		oldest := r.Taken.UnixNano()
		for _, e := range l.Events {
			if e.Kind < core.RecordKind(len(count)) {
				count[e.Kind]++
			}
			if e.ended() && e.Code != uint8(peregrine.OK) {
				failed++
			}
			oldest = min(oldest, e.At)
		}
		fmt.Fprintf(w, "Loop %d, the last %s: %d calls ended, %d requests answered, %d of both failed, %d are not over; %d messages were sent again.\n",
			l.Loop, short(r.Taken.UnixNano()-oldest), count[core.CallEnded], count[core.RequestAnswered], failed,
			count[core.CallPending]+count[core.RequestPending], count[core.SentAgain])
		for _, c := range l.Connections {
			fmt.Fprintf(w, "  %s %s\n", clock(c.At), c.String())
		}
	}
}

func (e *Event) ended() bool { return e.Kind == core.CallEnded || e.Kind == core.RequestAnswered }

func (e *Event) pending() bool { return e.Kind == core.CallPending || e.Kind == core.RequestPending }

func (e *Event) called() bool { return e.Kind == core.CallEnded || e.Kind == core.CallPending }

// String says what happened.
func (c *Connection) String() string {
	side := "client"
	if c.Client {
		side = "server"
	}
	if c.Up {
		return fmt.Sprintf("connected with the %s %s (connection %d)", side, c.Peer, c.Connection)
	}
	return fmt.Sprintf("no longer connected with the %s %s (connection %d): %s", side, c.Peer, c.Connection, c.Reason)
}

// story is a call or request, and what belongs to it.
type story struct {
	event  *Event
	peer   string
	again  []*Event      // of its messages that were sent again
	broken []*Connection // what happened to its connection meanwhile
}

// weight is what comes first: what is not over, what failed.
func (s *story) weight() int {
	switch {
	case s.event.pending():
		return 2
	case s.event.Code != uint8(peregrine.OK):
		return 1
	}
	return 0
}

// stories are those of a choice.
func (l *Loop) stories(c Choice) (stories []story) {
	again := map[ID][]*Event{}
	for i := range l.Events {
		if e := &l.Events[i]; e.Kind == core.SentAgain {
			again[e.ID] = append(again[e.ID], e)
		}
	}
	for i := range l.Events {
		e := &l.Events[i]
		switch {
		case !e.ended() && !e.pending(),
			c.Call != nil && e.ID != *c.Call,
			c.Method != nil && e.Method != *c.Method,
			c.Failed && (e.pending() || e.Code == uint8(peregrine.OK)):
			continue
		}
		s := story{event: e}
		for _, a := range again[e.ID] {
			if a.Request == e.called() && a.At >= e.Since && (a.At <= e.At || !e.called()) {
				s.again = append(s.again, a)
			}
		}
		for k := range l.Connections {
			at := &l.Connections[k]
			if at.Connection != e.Connection {
				continue
			}
			if s.peer == "" || at.At <= e.At {
				s.peer = at.Peer
			}
			if at.At > e.Since && at.At <= e.At {
				s.broken = append(s.broken, at)
			}
		}
		stories = append(stories, s)
	}
	return stories
}

// tell writes the story.
func (s *story) tell(w io.Writer) {
	e := s.event
	peer := s.peer
	if peer == "" {
		peer = "a peer that is not recorded"
	}
	took := short(e.At - e.Since)
	if !e.called() {
		fmt.Fprintf(w, "Request %v of method %d from %s, taken in at %s", e.ID, e.Method, peer, clock(e.Since))
		if e.pending() {
			fmt.Fprintf(w, ", is not answered yet after %s: its handler runs, or has deferred the answer.\n", took)
		} else {
			fmt.Fprintf(w, ", was answered after %s with %v.\n", took, peregrine.Code(e.Code))
		}
		s.tellAgain(w, "the response")
		s.tellBroken(w)
		return
	}
	name := fmt.Sprintf("Call %v", e.ID)
	if e.Sequence == 0 {
		name = "A call"
	}
	fmt.Fprintf(w, "%s of method %d to %s, begun at %s", name, e.Method, peer, clock(e.Since))
	switch {
	case e.pending():
		fmt.Fprintf(w, ", is not over after %s.\n", took)
	case e.Code == uint8(peregrine.OK):
		fmt.Fprintf(w, ", succeeded after %s.\n", took)
	default:
		fmt.Fprintf(w, ", failed after %s with %v.\n", took, peregrine.Code(e.Code))
	}
	switch {
	case e.Mark == 0 && e.pending():
		fmt.Fprintf(w, "  It waits for a slot or a connection since it began.\n")
	case e.Mark == 0:
		fmt.Fprintf(w, "  It never had a slot: nothing of it was sent.\n")
	case e.Mark > e.Since:
		fmt.Fprintf(w, "  It waited %s for a slot or a connection.\n", short(e.Mark-e.Since))
	}
	s.tellAgain(w, "the request")
	s.tellBroken(w)
	if e.Mark != 0 {
		last := e.Mark
		if n := len(s.again); n > 0 {
			last = s.again[n-1].At
		}
		switch {
		case e.pending():
			fmt.Fprintf(w, "  It was queued for sending the last time %s ago.\n", short(e.At-last))
		case e.Code == uint8(peregrine.OK) && len(s.again) > 0:
			fmt.Fprintf(w, "  The response came %s after that.\n", short(e.At-last))
		}
	}
}

// toldAgain bounds the lines on what was sent again.
const toldAgain = 8

func (s *story) tellAgain(w io.Writer, what string) {
	if n := len(s.again); n > 0 {
		fmt.Fprintf(w, "  Of %s, %d %s sent again:\n", what, n, map[bool]string{true: "message was", false: "messages were"}[n == 1])
	}
	for i, a := range s.again {
		if i == toldAgain {
			fmt.Fprintf(w, "    and %d more.\n", len(s.again)-i)
			return
		}
		why := "others sent later had arrived"
		if a.Code == core.LostProbed {
			why = fmt.Sprintf("after %s of silence, to find out", short(a.At-a.Mark))
		}
		fmt.Fprintf(w, "    %s after the beginning: the packet that left %s before was taken as lost, %s.\n",
			short(a.At-s.event.Since), short(a.At-a.Mark), why)
	}
}

func (s *story) tellBroken(w io.Writer) {
	for _, c := range s.broken {
		fmt.Fprintf(w, "  %s after the beginning it was %s.\n", short(c.At-s.event.Since), c.String())
	}
}

// short is a duration of ns in words, to three digits or so.
func short(ns int64) string {
	d := time.Duration(ns)
	for _, unit := range []time.Duration{time.Second, time.Millisecond, time.Microsecond} {
		if d.Abs() >= 10*unit {
			return d.Round(unit / 10).String()
		}
	}
	return d.String()
}

// clock is a time of day.
func clock(ns int64) string { return time.Unix(0, ns).Format("15:04:05.000000") }
