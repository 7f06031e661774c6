package conformance

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine/transport"
	_ "github.com/peregrine-rpc/peregrine/transport/mem"
)

// wrapped is the in-memory backend behind a decorator.
func wrapped(wrap func(transport.Transport) transport.Transport) Factory {
	f := URL("mem://0.0.0.0:0")
	f.OneProcess = true
	f.Also = []netip.Addr{netip.MustParseAddr("127.0.1.1")}
	open := f.Open
	f.Open = func(side Side, addr netip.AddrPort) (transport.Transport, error) {
		tr, err := open(side, addr)
		if err != nil {
			return nil, err
		}
		return wrap(tr), nil
	}
	return f
}

// unusual backends keep every promise.
var unusual = map[string]func(transport.Transport) transport.Transport{
	"takes little at a time": func(tr transport.Transport) transport.Transport { return &stingy{Transport: tr} },
	"reorders":               func(tr transport.Transport) transport.Transport { return backwards{tr} },
}

func TestAnUnusualBackendIsNotBlamed(t *testing.T) {
	t.Parallel()
	for name := range unusual {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			out, err := inCopy(t, name, "^TestUnusual$", "-test.short")
			require.NoError(t, err, out)
			require.Contains(t, out, "--- PASS: TestUnusual/")
		})
	}
}

// TestUnusual is the story's side of TestAnUnusualBackendIsNotBlamed.
func TestUnusual(t *testing.T) {
	if wrap, ok := unusual[os.Getenv(backendVariable)]; ok {
		Transport(t, wrapped(wrap))
	}
}

// backwards returns what has arrived in the reverse order.
type backwards struct{ transport.Transport }

func (b backwards) Recv(pkts []transport.RxPacket) (int, error) {
	n, err := b.Transport.Recv(pkts)
	slices.Reverse(pkts[:n])
	return n, err
}

// stingy lends three buffers at a time and takes two packets, and has room again
// at once.
type stingy struct {
	transport.Transport
	full bool
}

func (s *stingy) Reserve(pkts []transport.TxPacket) int {
	return s.Transport.Reserve(pkts[:min(3, len(pkts))])
}

func (s *stingy) Send(pkts []transport.TxPacket) (int, error) {
	s.full = len(pkts) > 2
	return s.Transport.Send(pkts[:min(2, len(pkts))])
}

func (s *stingy) Wait(timeout time.Duration) error {
	if s.full {
		s.full, timeout = false, 0
	}
	return s.Transport.Wait(timeout)
}

// breakage is a backend that breaks one promise.
type breakage struct {
	wrap  func(transport.Transport) transport.Transport
	story string // that catches it
	says  string // matches its message

	patience time.Duration
}

// What takes long on a slow machine must not be given up before the story fails;
// a story that fails by giving up must not take too long.
const (
	ample = 20 * time.Second
	brief = 5 * time.Second
)

var breakages = map[string]breakage{
	"a sender of another port": {
		func(tr transport.Transport) transport.Transport {
			return altered{Transport: tr, recv: func(p *transport.RxPacket) {
				p.From = netip.AddrPortFrom(p.From.Addr(), p.From.Port()+1)
			}}
		}, "ASenderIsKnownByItsAddress", "From is the sender", ample},
	"nobody knows which address was asked": {
		func(tr transport.Transport) transport.Transport {
			return altered{Transport: tr, recv: func(p *transport.RxPacket) { p.To = netip.Addr{} }}
		}, "TheAddressThatWasAskedAnswers", "To is the address of this host that the sender used", ample},
	"another address answers": {
		func(tr transport.Transport) transport.Transport { return &odd{Transport: tr, careless: true} },
		"TheAddressThatWasAskedAnswers", "packets leave from source", ample},
	"a source of another host": {
		func(tr transport.Transport) transport.Transport { return &odd{Transport: tr, careless: true} },
		"ASourceOfAnotherHostIsRefused", "not an address of this host", ample},
	"nobody hears of a dead port": {
		func(tr transport.Transport) transport.Transport { return &odd{Transport: tr} },
		"WhatNobodyReceivesIsReported", "is an UnreachableReporter", ample},
	"a report of another peer": {
		func(tr transport.Transport) transport.Transport { return &gossip{odd{Transport: tr}} },
		"WhatNobodyReceivesIsReported", "To is where the datagram was going", ample},
	"a dead peer costs others a packet": {
		func(tr transport.Transport) transport.Transport { return &touchy{Transport: tr} },
		"ADeadRouteCostsOthersNothing", "datagrams have arrived", brief},
	"datagrams cut off": {
		func(tr transport.Transport) transport.Transport {
			return altered{Transport: tr, recv: func(p *transport.RxPacket) { p.Data = p.Data[:min(len(p.Data), 1111)] }}
		}, "EverySizeArrivesWhole", "each datagram arrives once and as it was sent", ample},
	"code points lost": {
		func(tr transport.Transport) transport.Transport {
			return altered{Transport: tr, recv: func(p *transport.RxPacket) { p.ECN = transport.NotECT }}
		}, "CodePointsArriveAsSent", "a code point arrives as it was sent", ample},
	"what is too large cut off": {
		func(tr transport.Transport) transport.Transport {
			most := tr.Caps().MaxPayload
			return altered{Transport: tr, send: func(p *transport.TxPacket) {
				p.Payload = p.Payload[:min(len(p.Payload), most-len(p.Head))]
			}}
		}, "WhatIsTooLargeIsDroppedAndCounted", "each datagram arrives once and as it was sent", ample},
	"payload before head": {
		func(tr transport.Transport) transport.Transport {
			return altered{Transport: tr, send: func(p *transport.TxPacket) {
				if n := len(p.Payload); n > 0 && n <= len(p.Head) {
					p.Payload = slices.Clone(p.Payload)
					p.Payload, p.Head = append(p.Payload, p.Head[n:]...), append(p.Head[:0], p.Payload...)
				}
			}}
		}, "HeadAndPayloadAreJoined", "each datagram arrives once and as it was sent", ample},
	"bytes that nobody counts": {
		func(tr transport.Transport) transport.Transport { return &odd{Transport: tr, headers: 28} },
		"BothSidesCountTheSame", "TxBytes", ample},
	"no packet completes": {
		func(tr transport.Transport) transport.Transport { return &odd{Transport: tr, incomplete: true} },
		"CompletedCountsWhatWasTaken", "each packet that was taken completes", brief},
	"an error for a lost packet": {
		func(tr transport.Transport) transport.Transport { return &odd{Transport: tr, fussy: true} },
		"NobodyAtARouteIsNoError", "an error means that this Transport is of no more use", ample},
	"routes are never given back": {
		func(tr transport.Transport) transport.Transport { return &odd{Transport: tr, unforgetting: true} },
		"RoutesComeAndGo", "Forget gives back a Route", ample},
	"a packet of a large batch comes twice": {
		func(tr transport.Transport) transport.Transport { return &doubling{Transport: tr} },
		"NothingIsLostOrComesTwice", "came twice", ample},
	"a packet of a large batch is lost": {
		func(tr transport.Transport) transport.Transport { return &leaky{Transport: tr, every: 33} },
		"BatchesOfEverySizeArrive", "datagrams have arrived", brief},
	"dropped packets keep their buffers": {
		func(tr transport.Transport) transport.Transport { return &leaky{Transport: tr, large: true} },
		"AllBuffersComeBack", "belongs to the backend again", brief},
	"untaken packets lose their heads": {
		func(tr transport.Transport) transport.Transport { return &grabbing{stingy{Transport: tr}} },
		"WhatIsNotTakenIsUnchanged", "stays the caller's", ample},
	"a buffer is lent twice": {
		func(tr transport.Transport) transport.Transport { return twice{tr} },
		"LentBuffersAreApart", "two lent buffers overlap", ample},
	"a buffer in flight is lent": {
		func(tr transport.Transport) transport.Transport { return &late{Transport: tr, relend: true} },
		"ABufferInFlightIsNotLent", "each datagram arrives once and as it was sent", ample},
	"completion before the payload is read": {
		func(tr transport.Transport) transport.Transport { return &late{Transport: tr} },
		"ACompletedPayloadIsFree", "each datagram arrives once and as it was sent", ample},
	"a route forgotten before its packets left": {
		func(tr transport.Transport) transport.Transport { return &late{Transport: tr} },
		"ForgettingARouteStopsNothing", "datagrams have arrived", brief},
	"views that do not last": {
		func(tr transport.Transport) transport.Transport { return &hasty{Transport: tr, scrawl: true} },
		"ViewsStayIntactUntilReleased", "each datagram arrives once and as it was sent", ample},
	"fewer receive buffers than told": {
		func(tr transport.Transport) transport.Transport { return &hasty{Transport: tr, most: 100} },
		"RxBuffersMayBeHeld", "datagrams have arrived", brief},
	"a hoarder is never forgiven": {
		func(tr transport.Transport) transport.Transport { return &hasty{Transport: tr, most: 512, sulk: true} },
		"AHoarderReceivesAgainOnceItReleases", "receives again", brief},
	"a timeout that does not pass": {
		func(tr transport.Transport) transport.Transport { return &sleepy{Transport: tr, endless: true} },
		"WaitEndsWithItsTimeout", "when timeout has passed", brief},
	"arrivals that wake nobody": {
		func(tr transport.Transport) transport.Transport { return newDeaf(tr) },
		"WaitEndsWithAnArrival", "when Recv would return something", brief},
	"room that wakes nobody": {
		func(tr transport.Transport) transport.Transport { return newDeaf(tr) },
		"WaitEndsWhenThereIsRoom", "a full send queue has room", brief},
	"a wake-up that is forgotten": {
		func(tr transport.Transport) transport.Transport { return &sleepy{Transport: tr, forgetful: true} },
		"AWakeBeforeWaitIsRemembered", "since Wait last returned", brief},
	"a wake-up lost in a thousand": {
		func(tr transport.Transport) transport.Transport { return &sleepy{Transport: tr, every: 1000} },
		"NoWakeIsLost", "no wake-up is ever lost", brief},
	"a Wait that spins": {
		func(tr transport.Transport) transport.Transport { return &sleepy{Transport: tr, spin: true} },
		"WaitingUsesNoProcessor", "Wait blocks", ample},
	"a Wait that Close does not end": {
		func(tr transport.Transport) transport.Transport { return &halfClosed{Transport: newDeaf(tr)} },
		"CloseEndsAWait", "Close ends a Wait", brief},
	"no error after Close": {
		func(tr transport.Transport) transport.Transport { return &halfClosed{Transport: tr} },
		"AfterCloseEveryMethodSaysSo", "returned after Close", ample},
	"an address that stays taken": {
		func(tr transport.Transport) transport.Transport { return &halfClosed{Transport: tr} },
		"AnAddressIsFreeOnceClosed", "the factory opens", ample},
	"a goroutine that stays": {
		func(tr transport.Transport) transport.Transport { go func() { select {} }(); return tr },
		"EmptyBatchesDoNothing", "Close releases everything", brief},
	"a descriptor that stays": {
		func(tr transport.Transport) transport.Transport { kept = append(kept, keep()); return tr },
		"EmptyBatchesDoNothing", "Close releases everything", brief},
}

var kept []*os.File

func keep() *os.File {
	f, err := os.Open(os.DevNull)
	if err != nil {
		panic(err)
	}
	return f
}

const backendVariable = "CONFORMANCE_TEST_BACKEND"

// copies holds a token for each copy that runs. They sleep for most of their time; more would slow each other down.
var copies = make(chan struct{}, 4)

// inCopy runs some tests of the backend of that name in a copy of this binary,
// where what is left behind, or hangs, is nobody else's.
func inCopy(t *testing.T, backend, tests string, flags ...string) (out string, err error) {
	copies <- struct{}{}
	defer func() { <-copies }()
	self, err := os.Executable()
	require.NoError(t, err)
	child := exec.CommandContext(t.Context(), self, append(flags, "-test.run="+tests, "-test.v", "-test.timeout=4m")...)
	child.Env = append(child.Environ(), backendVariable+"="+backend)
	all, err := child.CombinedOutput()
	return string(all), err
}

// isCaught runs the story that has to fail, where test tells it of the backend
// of that name.
func (b breakage) isCaught(t *testing.T, name, test string) {
	out, err := inCopy(t, name, "^"+test+"$/^"+b.story+"$")
	var exit *exec.ExitError
	require.True(t, errors.As(err, &exit), "the story passed: %v\n%s", err, out)
	require.Contains(t, out, "--- FAIL: "+test+"/"+b.story)
	require.Regexp(t, b.says, out)
	require.NotContains(t, out, "panic:")
}

func TestABrokenBackendIsCaught(t *testing.T) {
	t.Parallel()
	for name, b := range breakages {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, known := threadTime(); !known && b.story == "WaitingUsesNoProcessor" {
				return
			}
			if len(Factory{}.descriptors()) == 0 && name == "a descriptor that stays" {
				return
			}
			b.isCaught(t, name, "TestBreakage")
		})
	}
}

// TestBreakage is the story's side of TestABrokenBackendIsCaught.
func TestBreakage(t *testing.T) {
	name := os.Getenv(backendVariable)
	if name == "" {
		return
	}
	b, known := breakages[name]
	require.True(t, known, name)
	patience = b.patience
	require.True(t, slices.ContainsFunc(stories, func(s story) bool { return s.name == b.story }), fmt.Sprint("no story ", b.story))
	f := wrapped(b.wrap)
	f.Refuses = true
	Transport(t, f)
}
