package core

// Rejection is how much of what came in was not taken for one reason, in the terms
// of docs/wire.md, section 13.
type Rejection struct {
	Reason string
	Count  uint64
}

// Rejections returns all reasons, in the document's order.
func (s *Stats) Rejections() []Rejection {
	return []Rejection{
		{"length", s.RxLength},
		{"magic", s.RxMagic},
		{"version", s.RxVersion},
		{"type", s.RxType},
		{"checksum", s.RxChecksum},
		{"forged", s.RxForged},
		{"params", s.RxParams},
		{"out_of_place", s.RxMalformed - s.RxLength - s.RxMagic - s.RxType - s.RxParams},
		{"cookie", s.RxBadCookie},
		{"unknown", s.RxUnknown},
		{"reflected", s.RxReflected},
		{"duplicate", s.RxDuplicate},
		{"no_room", s.RxNoRoom},
		{"stale", s.RxStale},
		{"refused_connection", s.HellosRefused},
		{"refused_request", s.RequestsRefused},
		{"duplicate_request", s.RequestsDuplicate},
	}
}
