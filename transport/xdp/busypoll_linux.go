package xdp

// polling is whether the kernel polls the device when we call it.
type polling int

const (
	unwanted polling = iota
	wanted           // until a packet has named who is to be polled
	engaged
)

// pollBudget is how many packets the kernel takes in at a time.
const pollBudget = 64

// pollDevice is called after each look for packets, of which there were n. The first
// packet says by its NAPI id whether polling would engage; where it would not, as on
// veth, the options would only make everything slower.
func (q *queue) pollDevice(n int) {
	switch {
	case q.polling == engaged && n == 0:
		_ = q.socket.Nudge() // the device is polled within
	case q.polling == wanted && n > 0:
		q.polling = unwanted
		if q.socket.Polled() != 0 && q.socket.BusyPoll(q.port.cfg.BusyPoll, pollBudget) == nil {
			q.polling = engaged
		}
	}
}
