package conform

import (
	"encoding/json"
	"fmt"

	vectors "github.com/peregrine-rpc/peregrine/docs/wire"
)

// Conversation is one behaviour vector: docs/wire.md, section 13, says what its fields mean.
type Conversation struct {
	Name    string `json:"name"`
	Section string `json:"section"`
	// Rule is what the document says, in a sentence.
	Rule string `json:"rule"`
	// Tests is "server" or "client": who is told this.
	Tests string `json:"tests"`
	// Checksum has the checking side ask for checksums, Manual leave the handshake to the steps.
	Checksum bool `json:"checksum"`
	Manual   bool `json:"manual"`
	// Streams has it wish for streams; of who grants none nothing is asked.
	Streams bool `json:"streams"`
	// Sealed is of a conversation that is had where connections are sealed, and there alone; Plain says why this one is not.
	Sealed bool   `json:"sealed"`
	Plain  string `json:"plain"`
	// KeepAlive, in ms, and Sessions are the most that who is tested may say of itself; of others nothing is asked.
	KeepAlive uint32 `json:"keep_alive"`
	Sessions  uint16 `json:"sessions"`
	// Counter is what this implementation counts it as; empty: it is nothing amiss.
	Counter string `json:"counter"`
	Steps   []Step `json:"steps"`
}

// Step is one of its fields.
type Step struct {
	Send   *Datagram `json:"send"`
	Expect *Event    `json:"expect"`
	Never  *Event    `json:"never"`
	// May is an Expect of what need not be: without it the rest is left out.
	May *Event `json:"may"`
	// Wait is so many ms in which the peer only says that it is there.
	Wait int `json:"wait"`
	// Lose has so many Data of the other side be lost, Mute ends acknowledging, Resume begins anew and acknowledges.
	Lose   int  `json:"lose"`
	Mute   bool `json:"mute"`
	Resume bool `json:"resume"`
	// Another turns to another connection from the same port, which it makes, or back.
	Another bool `json:"another"`
	// Alive and Ended say whether the connection is there still.
	Alive bool `json:"alive"`
	Ended bool `json:"ended"`
}

// Datagram is one to send. What is left out is as it should be.
type Datagram struct {
	Line       string            `json:"line"` // "other": from another port
	Type       string            `json:"type"` // data
	Flags      []string          `json:"flags"`
	Connection string            `json:"connection"` // "wrong"
	Token      string            `json:"token"`      // "wrong"
	Number     *uint64           `json:"number"`
	Acks       *Acks             `json:"acks"`
	Messages   []Message         `json:"messages"`
	Hello      *Hello            `json:"hello"`
	Body       string            `json:"body"` // hexadecimal, behind all else; of control: "names" is those that it knows, or the reason
	Code       uint8             `json:"code"` // of close and refuse
	Checksum   string            `json:"checksum"`
	Seal       string            `json:"seal"`  // where connections are sealed: "none", "wrong"
	Again      bool              `json:"again"` // what was sent last, byte for byte, and nothing else of these
	Patch      map[string]string `json:"patch"` // offset: bytes
	Length     int               `json:"length"`
	Times      int               `json:"times"` // how often, each with a number of its own; 0: once
}

// Acks is an acknowledgement block.
type Acks struct {
	Largest uint32   `json:"largest"`
	Delay   uint16   `json:"delay"`
	Bitmap  []string `json:"bitmap"`
}

// Hello is what is unusual in one.
type Hello struct {
	Cookie string         `json:"cookie"` // "none", "wrong"; else that of the last Retry
	Params map[string]int `json:"params"`
	Size   int            `json:"size"`
}

// Place is whose message one is; of what was left out nothing is said.
type Place struct {
	Session  *uint16 `json:"session"`
	Slot     *uint16 `json:"slot"`
	Sequence *uint32 `json:"sequence"`
}

// Message is one message. Session is 0, generation, method and sequence are 1 where they are left out, and of a response
// all of them those of the request that came last. Of a stream's message slot is its index and method the use of that.
type Message struct {
	Place
	Kind       string   `json:"kind"`
	Options    []string `json:"options"`
	Generation *uint16  `json:"generation"`
	Method     *uint16  `json:"method"`
	Code       uint8    `json:"code"`
	Deadline   uint32   `json:"deadline"`
	Total      uint32   `json:"total"`
	Index      uint32   `json:"index"`
	Stride     uint16   `json:"stride"`
	Body       string   `json:"body"` // hexadecimal, "61*3" being 616161; "echo": that of the request
	// Pieces cuts the body in pieces of so many bytes, and sends those of these indexes, each in a datagram of its own.
	Pieces []uint32 `json:"pieces"`
}

// Event is what the other side does.
type Event struct {
	Place
	// Type is that of a control datagram, or request, response, one of streams, acknowledged (of number), or data (any).
	Type     string  `json:"type"`
	Line     string  `json:"line"`
	Code     *uint8  `json:"code"`
	Executed *bool   `json:"executed"` // of a response: may the request have been?
	Number   *uint64 `json:"number"`
	Body     string  `json:"body"`
	// Same has it be what came last of its type, to the byte.
	Same bool `json:"same"`
	// Renewed has a request be of another session than the one that was closed, or of a newer generation.
	Renewed bool `json:"renewed"`
}

// Conversations returns those that test servers, or clients, where connections are sealed or are not.
func Conversations(tests string, sealed bool) ([]Conversation, error) {
	var all []Conversation
	if err := json.Unmarshal(vectors.Conversations, &all); err != nil {
		return nil, fmt.Errorf("docs/wire/conversations.json: %w", err)
	}
	var chosen []Conversation
	for _, c := range all {
		if c.Tests == tests && (sealed || !c.Sealed) {
			chosen = append(chosen, c)
		}
	}
	return chosen, nil
}
