package conformance

import (
	"net/netip"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine/transport"
	_ "github.com/peregrine-rpc/peregrine/transport/udp"
)

// TestAFarSideInAnotherProcessIsNotBlamed runs in a copy, beside the others.
func TestAFarSideInAnotherProcessIsNotBlamed(t *testing.T) {
	t.Parallel()
	out, err := inCopy(t, "sound", "^TestRemote$", "-test.short")
	require.NoError(t, err, out)
	require.Contains(t, out, "--- PASS: TestRemote/")
}

// remoteBreakages are seen only in the far side's process.
var remoteBreakages = map[string]breakage{
	"remote views that do not last": {
		func(tr transport.Transport) transport.Transport { return &fading{Transport: tr} },
		"ViewsStayIntactUntilReleased", "changed before its Release", ample},
	"remote completion before the payload is read": {
		func(tr transport.Transport) transport.Transport { return &hurried{Transport: tr} },
		"NothingIsLostOrComesTwice", "a datagram was damaged", ample},
	"a remote descriptor that stays": {
		func(tr transport.Transport) transport.Transport { kept = append(kept, keep()); return tr },
		"EmptyBatchesDoNothing", "the far side's process has the descriptors", brief},
}

func TestABrokenFarSideInAnotherProcessIsCaught(t *testing.T) {
	t.Parallel()
	for name, b := range remoteBreakages {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b.isCaught(t, name, "TestRemote")
		})
	}
}

// TestRemote is the story's side of both.
func TestRemote(t *testing.T) {
	f := URL("udp://127.0.0.1:0")
	switch b, broken := remoteBreakages[os.Getenv(backendVariable)]; {
	case broken:
		patience = b.patience
		open := f.Open
		f.Open = func(side Side, addr netip.AddrPort) (transport.Transport, error) {
			tr, err := open(side, addr)
			if side == Near || err != nil {
				return tr, err
			}
			return b.wrap(tr), nil
		}
	case os.Getenv(backendVariable) != "sound":
		return
	}
	Transport(t, Remote(t, f))
}

// fading changes a view when it is asked for others.
type fading struct {
	transport.Transport
	view []byte
}

func (f *fading) Recv(pkts []transport.RxPacket) (int, error) {
	if len(f.view) > 0 {
		f.view[0]++
	}
	n, err := f.Transport.Recv(pkts)
	if f.view = nil; n > 0 {
		f.view = pkts[0].Data
	}
	return n, err
}

func (f *fading) Release(pkts []transport.RxPacket) {
	f.view = nil
	f.Transport.Release(pkts)
}

// hurried claims to have completed what it sends only when it is asked for
// something else.
type hurried struct {
	transport.Transport
	taken []transport.TxPacket
}

func (h *hurried) Send(pkts []transport.TxPacket) (int, error) {
	h.taken = append(h.taken, pkts...)
	for i := range pkts {
		pkts[i].Head, pkts[i].Payload = nil, nil
	}
	return len(pkts), nil
}

func (h *hurried) Completed() uint64 { return h.Transport.Completed() + uint64(len(h.taken)) }

func (h *hurried) Stats() transport.Stats {
	h.flush()
	return h.Transport.Stats()
}

func (h *hurried) Recv(pkts []transport.RxPacket) (int, error) {
	h.flush()
	return h.Transport.Recv(pkts)
}

func (h *hurried) flush() {
	_, _ = h.Transport.Send(h.taken)
	h.taken = nil
}
