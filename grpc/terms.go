package pgrpc

import (
	"sync/atomic"

	"google.golang.org/grpc/metadata"
)

// knownTerms are a client's terms, and what handlers see of them as metadata. A map in
// a context is not written to, so that calls share it.
type knownTerms struct {
	terms
	md metadata.MD
}

func (t *knownTerms) joins() bool { return t.abilities&ableToJoin != 0 }

// termsCache keeps terms that came before: those of a client are the same with each call.
type termsCache struct {
	of atomic.Pointer[map[string]*knownTerms]
}

// Only so many terms are kept, and none that are longer: clients choose them.
const (
	maxTerms      = 64
	maxTermsBytes = 512
)

func (c *termsCache) get(block []byte) (*knownTerms, error) {
	if known := c.of.Load(); known != nil {
		if t := (*known)[string(block)]; t != nil {
			return t, nil
		}
	}
	from := &reader{b: block}
	t := &knownTerms{terms: from.terms()}
	if err := from.err(); err != nil {
		return nil, err
	}
	t.md = metadata.MD{":authority": {t.authority}, "content-type": {contentType(t.subtype)}, "user-agent": {t.userAgent}}
	if t.accepted != "" {
		t.md["grpc-accept-encoding"] = []string{t.accepted}
	}
	c.keep(block, t)
	return t, nil
}

func (c *termsCache) keep(block []byte, t *knownTerms) {
	for len(block) <= maxTermsBytes {
		before := c.of.Load()
		after := map[string]*knownTerms{}
		if before != nil && len(*before) < maxTerms { // or begin again
			for k, v := range *before {
				after[k] = v
			}
		}
		after[string(block)] = t
		if c.of.CompareAndSwap(before, &after) {
			return
		}
	}
}

// opening is what a client says in front, and what the server makes of it.
type opening struct {
	target
	joined bool // what the client sends
	terms  *knownTerms
	md     metadata.MD // not to be written to
	rest   []byte
}

// open reads the opening of an RPC of a target; nil: the path is in it.
func (s *Server) open(b []byte, of *target) (o opening, err error) {
	from := reader{b: b}
	if of == nil {
		path := from.block()
		if of = s.targets[string(path)]; of == nil {
			of = s.find(string(path))
		}
	}
	block := from.block()
	if o.joined = len(block) == 0; o.joined {
		block = from.block()
	}
	if from.bad {
		return o, errFrame
	}
	o.target = *of
	if o.terms, err = s.terms.get(block); err != nil {
		return o, err
	}
	o.md = o.terms.md
	if len(from.b) > 0 && from.b[0] != 0 {
		own := metadata.MD{}
		for k, v := range o.terms.md {
			own[k] = v
		}
		o.md = from.metadata(own)
	} else {
		from.number()
	}
	o.rest = from.b
	return o, from.err()
}
