package conformance

import (
	"errors"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine/transport"
	_ "github.com/peregrine-rpc/peregrine/transport/mem"
	_ "github.com/peregrine-rpc/peregrine/transport/udp"
)

// wrap decorates a backend.
type wrap = func(transport.Transport) transport.Transport

// suite examines a decorated backend.
type suite func(*testing.T, wrap)

func ofTransport(t *testing.T, by wrap) { Transport(t, inMemory(by)) }

// ofReporter takes the decorated backend for one that reports what nobody received.
func ofReporter(t *testing.T, by wrap) {
	f := inMemory(by)
	f.Refuses = true
	Transport(t, f)
}

func ofRPC(t *testing.T, by wrap) { RPC(t, inMemory(by)) }

// ofRemote decorates the far side only, which is in another process.
func ofRemote(t *testing.T, by wrap) {
	f := URL("udp://127.0.0.1:0")
	Transport(t, Remote(t, decorated(f, by, Far)))
}

// inMemory is the in-memory backend behind a decorator.
func inMemory(by wrap) Factory {
	f := URL("mem://0.0.0.0:0")
	f.OneProcess = true
	f.Also = []netip.Addr{netip.MustParseAddr("127.0.1.1")}
	return decorated(f, by, Near, Far)
}

func decorated(f Factory, by wrap, sides ...Side) Factory {
	open := f.Open
	f.Open = func(side Side, addr netip.AddrPort) (transport.Transport, error) {
		tr, err := open(side, addr)
		if err != nil || !slices.Contains(sides, side) {
			return tr, err
		}
		return by(tr), nil
	}
	return f
}

// unusual backends keep every promise.
var unusual = map[string]struct {
	suite
	wrap
}{
	"takes little at a time": {ofTransport, func(tr transport.Transport) transport.Transport { return &stingy{Transport: tr} }},
	"reorders":               {ofTransport, func(tr transport.Transport) transport.Transport { return backwards{tr} }},
	"is elsewhere":           {ofRemote, func(tr transport.Transport) transport.Transport { return tr }},
	"takes little at a time, and reorders, under an engine": {ofRPC, func(tr transport.Transport) transport.Transport {
		return transport.NewFault(&stingy{Transport: tr}, transport.Faults{Reorder: 0.01, Seed: 1})
	}},
}

// breakage is a backend that breaks one promise.
type breakage struct {
	suite
	wrap
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

// breakages are each caught by a story of a suite.
var breakages = map[string]breakage{
	"a sender of another port": {ofTransport,
		func(tr transport.Transport) transport.Transport {
			return altered{Transport: tr, recv: func(p *transport.RxPacket) {
				p.From = netip.AddrPortFrom(p.From.Addr(), p.From.Port()+1)
			}}
		}, "ASenderIsKnownByItsAddress", "From is the sender", ample},
	"nobody knows which address was asked": {ofTransport,
		func(tr transport.Transport) transport.Transport {
			return altered{Transport: tr, recv: func(p *transport.RxPacket) { p.To = netip.Addr{} }}
		}, "TheAddressThatWasAskedAnswers", "To is the address of this host that the sender used", ample},
	"another address answers": {ofTransport,
		func(tr transport.Transport) transport.Transport { return &odd{Transport: tr, careless: true} },
		"TheAddressThatWasAskedAnswers", "packets leave from source", ample},
	"a source of another host": {ofTransport,
		func(tr transport.Transport) transport.Transport { return &odd{Transport: tr, careless: true} },
		"ASourceOfAnotherHostIsRefused", "not an address of this host", ample},
	"nobody hears of a dead port": {ofReporter,
		func(tr transport.Transport) transport.Transport { return &odd{Transport: tr} },
		"WhatNobodyReceivesIsReported", "is an UnreachableReporter", ample},
	"a report of another peer": {ofReporter,
		func(tr transport.Transport) transport.Transport { return &gossip{odd{Transport: tr}} },
		"WhatNobodyReceivesIsReported", "To is where the datagram was going", ample},
	"a dead peer costs others a packet": {ofTransport,
		func(tr transport.Transport) transport.Transport { return &touchy{Transport: tr} },
		"ADeadRouteCostsOthersNothing", "datagrams have arrived", brief},
	"datagrams cut off": {ofTransport,
		func(tr transport.Transport) transport.Transport {
			return altered{Transport: tr, recv: func(p *transport.RxPacket) { p.Data = p.Data[:min(len(p.Data), 1111)] }}
		}, "EverySizeArrivesWhole", "each datagram arrives once and as it was sent", ample},
	"code points lost": {ofTransport,
		func(tr transport.Transport) transport.Transport {
			return altered{Transport: tr, recv: func(p *transport.RxPacket) { p.ECN = transport.NotECT }}
		}, "CodePointsArriveAsSent", "a code point arrives as it was sent", ample},
	"what is too large cut off": {ofTransport,
		func(tr transport.Transport) transport.Transport {
			most := tr.Caps().MaxPayload
			return altered{Transport: tr, send: func(p *transport.TxPacket) {
				p.Payload = p.Payload[:min(len(p.Payload), most-len(p.Head))]
			}}
		}, "WhatIsTooLargeIsDroppedAndCounted", "each datagram arrives once and as it was sent", ample},
	"payload before head": {ofTransport,
		func(tr transport.Transport) transport.Transport {
			return altered{Transport: tr, send: func(p *transport.TxPacket) {
				if n := len(p.Payload); n > 0 && n <= len(p.Head) {
					p.Payload = slices.Clone(p.Payload)
					p.Payload, p.Head = append(p.Payload, p.Head[n:]...), append(p.Head[:0], p.Payload...)
				}
			}}
		}, "HeadAndPayloadAreJoined", "each datagram arrives once and as it was sent", ample},
	"bytes that nobody counts": {ofTransport,
		func(tr transport.Transport) transport.Transport { return &odd{Transport: tr, headers: 28} },
		"BothSidesCountTheSame", "TxBytes", ample},
	"no packet completes": {ofTransport,
		func(tr transport.Transport) transport.Transport { return &odd{Transport: tr, incomplete: true} },
		"CompletedCountsWhatWasTaken", "each packet that was taken completes", brief},
	"an error for a lost packet": {ofTransport,
		func(tr transport.Transport) transport.Transport { return &odd{Transport: tr, fussy: true} },
		"NobodyAtARouteIsNoError", "an error means that this Transport is of no more use", ample},
	"routes are never given back": {ofTransport,
		func(tr transport.Transport) transport.Transport { return &odd{Transport: tr, unforgetting: true} },
		"RoutesComeAndGo", "Forget gives back a Route", ample},
	"a packet of a large batch comes twice": {ofTransport,
		func(tr transport.Transport) transport.Transport { return &doubling{Transport: tr} },
		"NothingIsLostOrComesTwice", "came twice", ample},
	"a packet of a large batch is lost": {ofTransport,
		func(tr transport.Transport) transport.Transport { return &leaky{Transport: tr, every: 33} },
		"BatchesOfEverySizeArrive", "datagrams have arrived", brief},
	"dropped packets keep their buffers": {ofTransport,
		func(tr transport.Transport) transport.Transport { return &leaky{Transport: tr, large: true} },
		"AllBuffersComeBack", "belongs to the backend again", brief},
	"untaken packets lose their heads": {ofTransport,
		func(tr transport.Transport) transport.Transport { return &grabbing{stingy{Transport: tr}} },
		"WhatIsNotTakenIsUnchanged", "stays the caller's", ample},
	"a buffer is lent twice": {ofTransport,
		func(tr transport.Transport) transport.Transport { return twice{tr} },
		"LentBuffersAreApart", "two lent buffers overlap", ample},
	"a buffer in flight is lent": {ofTransport,
		func(tr transport.Transport) transport.Transport { return &late{Transport: tr, relend: true} },
		"ABufferInFlightIsNotLent", "each datagram arrives once and as it was sent", ample},
	"completion before the payload is read": {ofTransport,
		func(tr transport.Transport) transport.Transport { return &late{Transport: tr} },
		"ACompletedPayloadIsFree", "each datagram arrives once and as it was sent", ample},
	"a route forgotten before its packets left": {ofTransport,
		func(tr transport.Transport) transport.Transport { return &late{Transport: tr} },
		"ForgettingARouteStopsNothing", "datagrams have arrived", brief},
	"views that do not last": {ofTransport,
		func(tr transport.Transport) transport.Transport { return &hasty{Transport: tr, scrawl: true} },
		"ViewsStayIntactUntilReleased", "each datagram arrives once and as it was sent", ample},
	"fewer receive buffers than told": {ofTransport,
		func(tr transport.Transport) transport.Transport { return &hasty{Transport: tr, most: 100} },
		"RxBuffersMayBeHeld", "datagrams have arrived", brief},
	"a hoarder is never forgiven": {ofTransport,
		func(tr transport.Transport) transport.Transport { return &hasty{Transport: tr, most: 512, sulk: true} },
		"AHoarderReceivesAgainOnceItReleases", "receives again", brief},
	"a timeout that does not pass": {ofTransport,
		func(tr transport.Transport) transport.Transport { return &sleepy{Transport: tr, endless: true} },
		"WaitEndsWithItsTimeout", "when timeout has passed", brief},
	"arrivals that wake nobody": {ofTransport,
		func(tr transport.Transport) transport.Transport { return newDeaf(tr) },
		"WaitEndsWithAnArrival", "when Recv would return something", brief},
	"room that wakes nobody": {ofTransport,
		func(tr transport.Transport) transport.Transport { return newDeaf(tr) },
		"WaitEndsWhenThereIsRoom", "a full send queue has room", brief},
	"a wake-up that is forgotten": {ofTransport,
		func(tr transport.Transport) transport.Transport { return &sleepy{Transport: tr, forgetful: true} },
		"AWakeBeforeWaitIsRemembered", "since Wait last returned", brief},
	"a wake-up lost in a thousand": {ofTransport,
		func(tr transport.Transport) transport.Transport { return &sleepy{Transport: tr, every: 1000} },
		"NoWakeIsLost", "no wake-up is ever lost", brief},
	"a Wait that spins": {ofTransport,
		func(tr transport.Transport) transport.Transport { return &sleepy{Transport: tr, spin: true} },
		"WaitingUsesNoProcessor", "Wait blocks", ample},
	"a Wait that Close does not end": {ofTransport,
		func(tr transport.Transport) transport.Transport { return &halfClosed{Transport: newDeaf(tr)} },
		"CloseEndsAWait", "Close ends a Wait", brief},
	"no error after Close": {ofTransport,
		func(tr transport.Transport) transport.Transport { return &halfClosed{Transport: tr} },
		"AfterCloseEveryMethodSaysSo", "returned after Close", ample},
	"an address that stays taken": {ofTransport,
		func(tr transport.Transport) transport.Transport { return &halfClosed{Transport: tr} },
		"AnAddressIsFreeOnceClosed", "the factory opens", ample},
	"a goroutine that stays": {ofTransport,
		func(tr transport.Transport) transport.Transport { go func() { select {} }(); return tr },
		"EmptyBatchesDoNothing", "Close releases everything", brief},
	"a descriptor that stays": {ofTransport,
		func(tr transport.Transport) transport.Transport { kept = append(kept, keep()); return tr },
		"EmptyBatchesDoNothing", "Close releases everything", brief},
	"a Close that waits for the Wait that it has to end": {ofTransport,
		func(tr transport.Transport) transport.Transport {
			return &polite{Transport: &sleepy{Transport: tr, forgetful: true}}
		}, "AWakeBeforeWaitIsRemembered", `panic: .*Close has been blocking`, brief},
	"a Wait that nothing ends": {ofTransport,
		func(tr transport.Transport) transport.Transport { return &stuck{Transport: tr} },
		"AWakeBeforeWaitIsRemembered", `panic: .*since Wait last returned; and Close did not end it`, brief},

	// Seen only in the far side's process.
	"remote views that do not last": {ofRemote,
		func(tr transport.Transport) transport.Transport { return &fading{Transport: tr} },
		"ViewsStayIntactUntilReleased", "changed before its Release", ample},
	"remote completion before the payload is read": {ofRemote,
		func(tr transport.Transport) transport.Transport { return &hurried{Transport: tr} },
		"NothingIsLostOrComesTwice", "a datagram was damaged", ample},
	"a remote descriptor that stays": {ofRemote,
		func(tr transport.Transport) transport.Transport { kept = append(kept, keep()); return tr },
		"EmptyBatchesDoNothing", "the far side's process has the descriptors", brief},

	// Seen by calls that go wrong.
	"datagrams that arrive damaged": {ofRPC,
		func(tr transport.Transport) transport.Transport {
			received := 0
			return altered{Transport: tr, recv: func(p *transport.RxPacket) {
				if received++; received%100 == 0 {
					p.Data[len(p.Data)-1]++
				}
			}}
		}, "EveryCallIsAnswered", "changed|not the service's", ample},
	"completion before the payload is read, under an engine": {ofRPC,
		func(tr transport.Transport) transport.Transport { return &tardy{Transport: tr} },
		"EveryCallIsAnswered", "changed|not the service's", ample},
	"no packet completes, under an engine": {ofRPC,
		func(tr transport.Transport) transport.Transport { return &odd{Transport: tr, incomplete: true} },
		"LongMessagesArrive", "a call did not complete", brief},
	"fewer bytes than MaxPayload": {ofRPC,
		func(tr transport.Transport) transport.Transport { return narrow{tr} },
		"MessagesAroundTheEdgesOfDatagramsArrive", `all of Caps\(\).MaxPayload`, brief},
	"a Wait that spins, under an engine": {ofRPC,
		func(tr transport.Transport) transport.Transport { return &sleepy{Transport: tr, spin: true} },
		"TheEngineGoesQuietWhenWorkEnds", "came to rest", brief},
	"an address that stays taken, under an engine": {ofRPC,
		func(tr transport.Transport) transport.Transport { return &halfClosed{Transport: tr} },
		"AServerThatDiesAndReturnsIsReachedAgain", "far side at .* is taken", ample},
}

// The race detector sees the suites in the tests of each backend; their verdicts are the same with it.
func unlessShort(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("the suites' verdicts are those of the full run")
	}
	t.Parallel()
}

func TestAnUnusualBackendIsNotBlamed(t *testing.T) {
	unlessShort(t)
	for name := range unusual {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			out, err := inCopy(t, name, "", "-test.short")
			require.NoError(t, err, "with %s=%q in the environment: %s", backendVariable, name, out)
			require.Contains(t, out, "--- PASS: "+inside+"/")
		})
	}
}

func TestABrokenBackendIsCaught(t *testing.T) {
	unlessShort(t)
	for name, b := range breakages {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, known := threadTime(); !known && b.story == "WaitingUsesNoProcessor" {
				return
			}
			if len(Factory{}.descriptors()) == 0 && strings.HasSuffix(name, "a descriptor that stays") {
				return
			}
			out, err := inCopy(t, name, "/^"+b.story+"$")
			var exit *exec.ExitError
			require.True(t, errors.As(err, &exit), "the story passed: %v\n%s", err, out)
			if !strings.HasPrefix(b.says, "panic:") {
				require.Contains(t, out, "--- FAIL: "+inside+"/"+b.story)
				require.NotContains(t, out, "panic:")
			}
			require.Regexp(t, b.says, out)
		})
	}
}

// inside is the test that tells, in a copy, of the backend that backendVariable names.
const (
	inside          = "TestInACopy"
	backendVariable = "CONFORMANCE_TEST_BACKEND"
)

func TestInACopy(t *testing.T) {
	name := os.Getenv(backendVariable)
	if u, known := unusual[name]; known {
		u.suite(t, u.wrap)
	} else if b, known := breakages[name]; known {
		patience = b.patience
		b.suite(t, b.wrap)
	}
}

// copies holds a token for each copy that runs. They sleep for most of their time; more would slow each other down.
var copies = make(chan struct{}, 8)

// inCopy runs the suite of the backend of that name in a copy of this binary, where what is left behind, or hangs, is
// nobody else's.
func inCopy(t *testing.T, backend, stories string, flags ...string) (out string, err error) {
	copies <- struct{}{}
	defer func() { <-copies }()
	self, err := os.Executable()
	require.NoError(t, err)
	child := exec.CommandContext(t.Context(), self, append(flags, "-test.run=^"+inside+"$"+stories, "-test.v", "-test.timeout=4m")...)
	child.Env = append(child.Environ(), backendVariable+"="+backend)
	all, err := child.CombinedOutput()
	return string(all), err
}
