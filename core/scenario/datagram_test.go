package scenario_test

import (
	"github.com/peregrine-rpc/peregrine/transport/sim"
	"github.com/peregrine-rpc/peregrine/wire"
)

// messages decodes a Data datagram; others have none.
func messages(data []byte) (all []wire.Message) {
	var h wire.Header
	rest, err := h.Parse(data)
	if err != nil || h.Type != wire.Data {
		return nil
	}
	for len(rest) > 0 {
		var m wire.Message
		if rest, err = m.Parse(rest); err != nil {
			return nil
		}
		all = append(all, m)
	}
	return all
}

// carries says whether a datagram holds a message of a kind.
func carries(data []byte, kind wire.Kind) bool {
	for _, m := range messages(data) {
		if m.Kind == kind {
			return true
		}
	}
	return false
}

// is says whether a datagram is of a type.
func is(data []byte, t wire.Type) bool {
	var h wire.Header
	_, err := h.Parse(data)
	return err == nil && h.Type == t
}

// lose drops the datagrams that which chooses.
func lose(pipe *sim.Pipe, which func(data []byte) bool) {
	pipe.Intercept(func(p *sim.Packet) sim.Verdict { return sim.Verdict{Drop: which(p.Data)} })
}

// loseFirst drops the first count datagrams that which chooses.
func loseFirst(pipe *sim.Pipe, count int, which func(data []byte) bool) {
	lose(pipe, func(data []byte) bool {
		if count == 0 || !which(data) {
			return false
		}
		count--
		return true
	})
}
