package flight

import (
	"context"
	"fmt"
	"time"

	"github.com/peregrine-rpc/peregrine"
	"github.com/peregrine-rpc/peregrine/core"
	"github.com/peregrine-rpc/peregrine/wire"
)

// Recording is what an endpoint, or one of its loops, has recorded.
type Recording struct {
	Address string    `json:"address"`
	Backend string    `json:"backend"`
	Taken   time.Time `json:"taken"`
	Loops   []Loop    `json:"loops"`
}

// Loop is what one loop has recorded. Times are ns since 1970.
type Loop struct {
	Loop        int          `json:"loop"`
	Total       uint64       `json:"total"` // events so far, of which Events are the newest
	Events      []Event      `json:"events"`
	Connections []Connection `json:"connections"`
}

// Event is one thing that happened. Its times are ns since 1970.
type Event struct {
	At    int64 `json:"at"`
	Since int64 `json:"since,omitempty"` // when the call or request began
	// Mark is when a call got its slot, or when the packet had left that was lost; 0: never.
	Mark   int64           `json:"mark,omitempty"`
	Kind   core.RecordKind `json:"kind"`
	Code   uint8           `json:"code,omitempty"`
	Method uint16          `json:"method,omitempty"`
	ID
	Request bool `json:"request,omitempty"` // what was sent again is a request
}

// ID names a call: its connection, session and slot, and the sequence of its request
// in that slot.
type ID struct {
	Connection uint32 `json:"connection,omitempty"`
	Session    uint16 `json:"session,omitempty"`
	Slot       uint16 `json:"slot,omitempty"`
	Sequence   uint32 `json:"sequence,omitempty"` // 0: it had no slot
}

// String is as ParseID reads it.
func (id ID) String() string {
	return fmt.Sprintf("%d.%d.%d.%d", id.Connection, id.Session, id.Slot, id.Sequence)
}

// ParseID reads an ID as String writes it, such as 1.0.3.17.
func ParseID(text string) (id ID, err error) {
	var rest string
	n, _ := fmt.Sscanf(text+"|", "%d.%d.%d.%d%s", &id.Connection, &id.Session, &id.Slot, &id.Sequence, &rest)
	if n != 5 || rest != "|" {
		return ID{}, fmt.Errorf("%q names no call: write four numbers, such as 1.0.3.17", text)
	}
	return id, nil
}

// Connection is what happened to a connection.
type Connection struct {
	At         int64  `json:"at"`
	Connection uint32 `json:"connection"`
	Peer       string `json:"peer"`
	Client     bool   `json:"client,omitempty"` // this endpoint is
	Up         bool   `json:"up,omitempty"`
	Reason     string `json:"reason,omitempty"`
}

// Take is what an endpoint has recorded up to now.
func Take(ctx context.Context, e *peregrine.Endpoint) (*Recording, error) {
	loops, err := e.Recordings(ctx)
	if len(loops) == 0 {
		return nil, err
	}
	r := Of(loops[0])
	for _, l := range loops[1:] {
		r.Loops = append(r.Loops, Of(l).Loops...)
	}
	return r, err
}

// Of makes a Recording of that of a loop.
func Of(l peregrine.LoopRecording) *Recording {
	ns := func(d time.Duration) int64 {
		if d == 0 {
			return 0
		}
		return l.Epoch.Add(d).UnixNano()
	}
	loop := Loop{Loop: l.Loop, Total: l.Total}
	for _, records := range [][]core.Record{l.Records, l.Pending} {
		for i := range records {
			r := &records[i]
			h := r.Lead.Header()
			loop.Events = append(loop.Events, Event{
				At: ns(r.At), Since: ns(r.Since), Mark: ns(r.Mark), Kind: r.Kind, Code: r.Code, Method: r.Method,
				ID: ID{r.Conn, h.Session, h.Slot, h.Sequence}, Request: h.Kind == wire.Request,
			})
		}
	}
	for _, c := range l.Connections {
		loop.Connections = append(loop.Connections, Connection{
			At: ns(c.At), Connection: c.Conn, Peer: c.Peer.String(), Client: c.Side == core.Client, Up: c.Up, Reason: c.Reason,
		})
	}
	return &Recording{Address: l.Address, Backend: l.Backend, Taken: l.Taken, Loops: []Loop{loop}}
}
