package main

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/peregrine-rpc/peregrine"
)

// rejections is how much of what came in was not taken, by reason: in the terms of
// docs/wire.md, section 13.
type rejections []rejection

type rejection struct {
	reason string
	count  uint64
}

func rejectionsOf(s *peregrine.Stats) rejections {
	return rejections{
		{"length", s.RxLength},
		{"magic", s.RxMagic},
		{"version", s.RxVersion},
		{"type", s.RxType},
		{"checksum", s.RxChecksum},
		{"params", s.RxParams},
		{"out of place", s.RxMalformed - s.RxLength - s.RxMagic - s.RxType - s.RxParams},
		{"cookie", s.RxBadCookie},
		{"unknown", s.RxUnknown},
		{"reflected", s.RxReflected},
		{"duplicate", s.RxDuplicate},
		{"no room", s.RxNoRoom},
		{"stale", s.RxStale},
		{"refused connection", s.HellosRefused},
		{"refused request", s.RequestsRefused},
		{"duplicate request", s.RequestsDuplicate},
	}
}

// String names the reasons that there were; empty if there were none.
func (r rejections) String() string {
	var parts []string
	for _, x := range r {
		if x.count > 0 {
			parts = append(parts, fmt.Sprintf("%s %d", x.reason, x.count))
		}
	}
	if parts == nil {
		return ""
	}
	return "rejected: " + strings.Join(parts, ", ")
}

// MarshalJSON writes an object of all reasons.
func (r rejections) MarshalJSON() ([]byte, error) {
	counts := map[string]uint64{}
	for _, x := range r {
		counts[strings.ReplaceAll(x.reason, " ", "_")] = x.count
	}
	return json.Marshal(counts)
}
