package main

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/peregrine-rpc/peregrine/core"
)

// rejections is how much of what came in was not taken, by reason.
type rejections []core.Rejection

// String names the reasons that there were; empty if there were none.
func (r rejections) String() string {
	var parts []string
	for _, x := range r {
		if x.Count > 0 {
			parts = append(parts, fmt.Sprintf("%s %d", strings.ReplaceAll(x.Reason, "_", " "), x.Count))
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
		counts[x.Reason] = x.Count
	}
	return json.Marshal(counts)
}
