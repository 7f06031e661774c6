package raw

import (
	"time"

	"github.com/peregrine-rpc/peregrine/transport"
)

// Forever as a Spin never blocks.
const Forever = time.Duration(1<<63 - 1)

// idler decides what to do when nothing has arrived.
type idler struct {
	tr    transport.Transport
	spin  time.Duration // how long to poll in vain before blocking
	since time.Time     // of the first vain poll; zero while busy
}

func (i *idler) busy() { i.since = time.Time{} }

// idle is called after each vain poll. It blocks for at most timeout; negative
// means no limit.
func (i *idler) idle(timeout time.Duration) error {
	if i.spin == Forever {
		return nil
	}
	if i.spin > 0 {
		now := time.Now()
		if i.since.IsZero() {
			i.since = now
		}
		if now.Sub(i.since) < i.spin {
			return nil
		}
	}
	i.since = time.Time{}
	return i.tr.Wait(timeout)
}
