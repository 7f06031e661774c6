package conformance

import (
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine/transport"
)

// Transport examines a backend against the contract of [transport.Transport],
// a subtest for each promise. Call it from a test that is not parallel: after
// each subtest it looks for what the process has left behind.
func Transport(t *testing.T, f Factory) {
	near, far := capsOf(t, f)
	require.GreaterOrEqual(t, min(near.MaxPayload, far.MaxPayload), leastPayload, "the suites need a larger MaxPayload")
	for _, s := range stories {
		if s.where == nil || s.where(f, near, far) {
			t.Run(s.name, func(t *testing.T) {
				requireNothingLeft(t, f)
				s.tell(t, newPair(t, f))
			})
		}
	}
}

// leastPayload is what any IPv6 link carries, less some headers.
const leastPayload = 1200

// story is one promise of the contract.
type story struct {
	name string
	tell func(*testing.T, *pair)
	// where says which backends make that promise; nil is all of them.
	where func(f Factory, near, far transport.Caps) bool
}

var stories = []story{
	{name: "ASenderIsKnownByItsAddress", tell: aSenderIsKnownByItsAddress},
	{name: "NoAddressIsRefused", tell: noAddressIsRefused},
	{name: "TheAddressThatWasAskedAnswers", tell: theAddressThatWasAskedAnswers},
	{name: "ASourceOfAnotherHostIsRefused", tell: aSourceOfAnotherHostIsRefused},

	{name: "EverySizeArrivesWhole", tell: everySizeArrivesWhole},
	{name: "WhatIsTooLargeIsDroppedAndCounted", tell: whatIsTooLargeIsDroppedAndCounted},

	{name: "BatchesOfEverySizeArrive", tell: batchesOfEverySizeArrive},
	{name: "BatchesOfMixedSizesArrive", tell: batchesOfMixedSizesArrive},
	{name: "ASmallSliceTakesALargeBatchBitByBit", tell: aSmallSliceTakesALargeBatchBitByBit},
	{name: "EmptyBatchesDoNothing", tell: emptyBatchesDoNothing},

	{name: "HeadAndPayloadAreJoined", tell: headAndPayloadAreJoined},
	{name: "HeadsAreSentInAnyOrder", tell: headsAreSentInAnyOrder},

	{name: "WhatIsNotTakenIsUnchanged", tell: whatIsNotTakenIsUnchanged},

	{name: "LentBuffersAreApart", tell: lentBuffersAreApart},
	{name: "ABufferInFlightIsNotLent", tell: aBufferInFlightIsNotLent},
	{name: "AllBuffersComeBack", tell: allBuffersComeBack},

	{name: "CompletedCountsWhatWasTaken", tell: completedCountsWhatWasTaken},
	{name: "ACompletedPayloadIsFree", tell: aCompletedPayloadIsFree},

	{name: "ViewsStayIntactUntilReleased", tell: viewsStayIntactUntilReleased},
	{name: "RxBuffersMayBeHeld", tell: rxBuffersMayBeHeld},
	{name: "AHoarderReceivesAgainOnceItReleases", tell: aHoarderReceivesAgainOnceItReleases},

	{name: "NothingIsLostOrComesTwice", tell: nothingIsLostOrComesTwice},

	{name: "WaitEndsWithItsTimeout", tell: waitEndsWithItsTimeout},
	{name: "WaitEndsWithAnArrival", tell: waitEndsWithAnArrival},
	{name: "WaitEndsWhenThereIsRoom", tell: waitEndsWhenThereIsRoom},
	{name: "AWakeBeforeWaitIsRemembered", tell: aWakeBeforeWaitIsRemembered},
	{name: "NoWakeIsLost", tell: noWakeIsLost},
	{name: "WaitingUsesNoProcessor", tell: waitingUsesNoProcessor, where: threadTimeIsKnown},

	{name: "CodePointsArriveAsSent", tell: codePointsArriveAsSent, where: bothMark},
	{name: "CodePointsThatCannotBeToldAreNotECT", tell: codePointsThatCannotBeToldAreNotECT, where: farCannotTell},

	{name: "BothSidesCountTheSame", tell: bothSidesCountTheSame},
	{name: "EveryPacketTakenIsCountedOnce", tell: everyPacketTakenIsCountedOnce},
	{name: "AnyoneMayReadTheCounters", tell: anyoneMayReadTheCounters},

	{name: "GarbageArrivesWholeOrIsCounted", tell: garbageArrivesWholeOrIsCounted, where: canInject},

	{name: "RoutesComeAndGo", tell: routesComeAndGo},
	{name: "ForgettingARouteStopsNothing", tell: forgettingARouteStopsNothing},
	{name: "NobodyAtARouteIsNoError", tell: nobodyAtARouteIsNoError, where: mayLeave},
	{name: "WhatNobodyReceivesIsReported", tell: whatNobodyReceivesIsReported, where: reports},
	{name: "ADeadRouteCostsOthersNothing", tell: aDeadRouteCostsOthersNothing},

	{name: "CloseEndsAWait", tell: closeEndsAWait},
	{name: "CloseWithEverythingInHand", tell: closeWithEverythingInHand},
	{name: "AfterCloseEveryMethodSaysSo", tell: afterCloseEveryMethodSaysSo},
	{name: "AnyoneMayCloseAndWakeAtOnce", tell: anyoneMayCloseAndWakeAtOnce},
	{name: "AnAddressIsFreeOnceClosed", tell: anAddressIsFreeOnceClosed},
}

// capsOf opens and closes both sides once, to know what they can.
func capsOf(t *testing.T, f Factory) (near, far transport.Caps) {
	t.Helper()
	var caps [2]transport.Caps
	for _, side := range f.Order.sides() {
		tr, err := f.Open(side, netip.AddrPort{})
		require.NoErrorf(t, err, "the factory opens the %v side", side)
		defer func() { require.NoError(t, tr.Close()) }()
		caps[side] = tr.Caps()
	}
	return caps[Near], caps[Far]
}
