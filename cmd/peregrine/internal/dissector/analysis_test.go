package dissector_test

import (
	"bytes"
	"net/netip"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine/wire"
)

// data is a Data datagram of some messages.
func data(number uint32, messages ...wire.Message) []byte {
	b := make([]byte, 1<<12)
	n := (&wire.Header{Type: wire.Data, Connection: 1, Token: 2, Number: number}).Put(b)
	for _, m := range messages {
		n += m.Put(b[n:], len(m.Body))
		n += copy(b[n:], m.Body)
	}
	return b[:n]
}

func request(slot uint16, sequence uint32) wire.Message {
	return wire.Message{MessageHeader: wire.MessageHeader{Kind: wire.Request, Slot: slot, Sequence: sequence, Method: 7}}
}

func response(slot uint16, sequence uint32, code uint8, text string) wire.Message {
	return wire.Message{
		MessageHeader: wire.MessageHeader{Kind: wire.Response, Slot: slot, Sequence: sequence, Code: code},
		Body:          []byte(text),
	}
}

// accept is the end of a handshake.
func accept() []byte {
	b := make([]byte, 100)
	n := (&wire.Header{Type: wire.Accept, Flags: wire.FlagChecksum, Connection: 1, Token: 2}).Put(b)
	b = b[:n+wire.AcceptSize]
	wire.Seal(b, nil)
	return b
}

// A conversation in which packets are lost, late and doubled, and messages sent
// again, is explained.
func TestAConversationIsExplained(t *testing.T) {
	t.Parallel()
	type packet struct {
		from, to netip.AddrPort
		data     []byte
		want     map[string][]string
	}
	is := func(pairs ...string) map[string][]string {
		m := map[string][]string{}
		for i := 0; i < len(pairs); i += 2 {
			m[pairs[i]] = append(m[pairs[i]], pairs[i+1])
		}
		return m
	}
	const prefix = "peregrine."
	conversation := []packet{
		1: {client, server, data(1, request(0, 1), request(1, 1)), is("response_in", "2", "response_in", "6")},
		2: {server, client, data(1, response(0, 1, 0, "yes")), is("request_in", "1", "time", "0.000001000")},
		3: {client, server, data(3, request(1, 1), request(0, 2)),
			is("analysis.missing", "1", "analysis.first_in", "1", "response_in", "6", "response_in", "7")},
		4: {client, server, data(2, request(2, 1)), is("analysis.late", "1")},
		5: {client, server, data(3, request(1, 1), request(0, 2)),
			is("analysis.duplicate", "1", "analysis.first_in", "1", "analysis.first_in", "3", "response_in", "6", "response_in", "7")},
		6: {server, client, data(2, response(1, 1, 5|wire.NotExecuted, "no such key")),
			is("request_in", "1", "time", "0.000005000", "text", "no such key", "failed", "1")},
		7: {server, client, data(3, response(0, 2, 0, "")), is("request_in", "3", "time", "0.000004000")},
		// Another connection of the same two counts anew.
		8:  {server, client, accept(), is()},
		9:  {client, server, data(1, request(0, 1)), is("response_in", "10")},
		10: {server, client, data(1, response(0, 1, 0, "")), is("request_in", "9", "time", "0.000001000")},
	}
	c := newCapture()
	for _, p := range conversation[1:] {
		c.add(p.from, p.to, p.data)
	}
	var columns []string
	for _, name := range []string{"request_in", "response_in", "time", "text", "failed",
		"analysis.missing", "analysis.first_in", "analysis.late", "analysis.duplicate"} {
		columns = append(columns, prefix+name)
	}
	for i, got := range c.dissect(t, columns...) {
		want := map[string][]string{}
		for name, values := range conversation[i+1].want {
			want[prefix+name] = values
		}
		require.Equal(t, want, got, "packet %d", i+1)
	}
}

// A run of datagrams that the sender left to its card to cut is shown as what it is.
func TestDatagramsThatAreYetToBeCutAreToldApart(t *testing.T) {
	t.Parallel()
	c := newCapture()
	whole := data(1, request(0, 1), request(1, 1))
	c.add(client, server, slices.Concat(whole, data(2, request(2, 1), request(3, 1)), data(3, request(4, 1))))
	c.add(server, client, data(1, response(4, 1, 0, "last")))
	packets := c.dissect(t, "peregrine.number", "peregrine.slot", "peregrine.malformed", "peregrine.request_in")
	require.Equal(t, map[string][]string{"peregrine.number": {"1", "2", "3"}, "peregrine.slot": {"0", "1", "2", "3", "4"}}, packets[0])
	require.Equal(t, []string{"1"}, packets[1]["peregrine.request_in"])
}

// What a capture has only the beginning of is not taken for malformed, at whatever byte
// it was cut, and calls are told as far as their headers are there.
func TestWhatTheCaptureHasCutIsNotMalformed(t *testing.T) {
	t.Parallel()
	c := newCapture()
	long := request(3, 9)
	long.Body = make([]byte, 100)
	asked := data(1, request(2, 8), long)
	hello := bytes.Repeat([]byte{0x10}, 1200) // terms that are not below the least
	(&wire.Header{Type: wire.Hello, Flags: wire.FlagChecksum, Connection: 1, Token: 2}).Put(hello)
	wire.Seal(hello, nil)
	sealed := make([]byte, 64)
	(&wire.Header{Type: wire.Data, Flags: wire.FlagSealed, Connection: 1, Token: 2}).Put(sealed)
	whole := 0
	for _, datagram := range [][]byte{asked, hello, sealed} {
		for first := 16; first < min(len(datagram), 160); first++ {
			c.addCut(client, server, datagram, first)
			whole++
		}
	}
	c.addCut(server, client, data(1, response(3, 9, 0, "a long answer")), 36)
	const prefix = "peregrine."
	packets := c.dissect(t, prefix+"malformed", prefix+"checksum.bad", prefix+"cut", prefix+"type", prefix+"sequence", prefix+"request_in", "_ws.malformed")
	require.Len(t, packets, whole+1)
	for _, p := range packets {
		require.Empty(t, p[prefix+"malformed"], p)
		require.Empty(t, p[prefix+"checksum.bad"], p)
		require.Empty(t, p["_ws.malformed"], p)
		require.Len(t, p[prefix+"cut"], 1, p)
		require.Len(t, p[prefix+"type"], 1, p)
	}
	require.Equal(t, []string{"8", "9"}, packets[len(asked)-17][prefix+"sequence"])
	require.Len(t, packets[whole][prefix+"request_in"], 1)
}
