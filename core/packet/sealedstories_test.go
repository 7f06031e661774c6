package packet_test

import (
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// The tests of which all worlds are sealed.
const (
	keyedStories = "TestConnectionsWithAKeyBehaveAsPlainOnesDo"
	tlsStories   = "TestConnectionsWithTLSBehaveAsPlainOnesDo"
)

// stories of plain connections hold of sealed ones, too: all but those in which somebody on
// the way reads or forges.
var stories = []func(*testing.T){
	TestAClientOfAnotherVersionIsToldSo,
	TestAClientThatOnlyListensIsFoundByItsKeepAlive,
	TestACloseIsToldOverATransportThatTakesLittleAtATime,
	TestADeadPortIsKnownWithinARoundTrip,
	TestADrainingServerTakesNoNewClientAndKeepsThoseItHas,
	TestAFasterRateHoldsForWhatWaitsAlready,
	TestAHeldResetChangesNoPacketsTime,
	TestALayerHearsThatItsConnectionIsUpDownAndGone,
	TestALongPathIsProbedToo,
	TestALostConnectionWaitsForNoTurn,
	TestALostProbeOfTheMTUIsNoCongestion,
	TestAPacketOfAQueueThatDoesNotExistIsDropped,
	TestAPathNarrowerThanBothLinksIsFoundOut,
	TestAPathThatShrinksIsFoundOutAndThatItGrewAgain,
	TestAProbeGoesWhateverTheWindow,
	TestARebindingNATCostsTwoSilencesOfTheKnownAddress,
	TestAServerKeepsAClientThatANATHasForgotten,
	TestAServerRestartedAmidAHandshakeIsReached,
	TestAServerThatIsFullRefuses,
	TestAServerThatMovesIsNotFollowed,
	TestASlowHostIsWaitedFor,
	TestAStuckTransportDelaysAndLosesNothing,
	TestAnAcknowledgementForWhichThereIsNoRoomIsNotForgotten,
	TestAnAcknowledgementFromElsewhereEndsNoConnection,
	TestAnAddressThatChangesAmidTransfersLosesNothing,
	TestAnEchoServiceIsNotTakenForAServer,
	TestAnEchoServiceThatAnswersToAnotherQueueIsNotTakenForAServer,
	TestAnEndpointMayDialItself,
	TestAnOldAcknowledgementToAnIdleConnectionIsIgnored,
	TestAnOutageDoesNotShrinkTheMTU,
	TestAnotherMessageLayerMayStandOnPackets,
	TestDatagramsThatComeBackHarmNoConnection,
	TestEventsTellOfConnections,
	TestFewCreditsAreAskedForBackAtOnce,
	TestKeepAlivesKeepAnIdleConnection,
	TestLargeTransfersNeedFewAcknowledgements,
	TestLatenessOfOurOwnIsNoLoss,
	TestLostAcknowledgementsAreMadeUpFor,
	TestLostAcknowledgementsAreNotTakenForAPause,
	TestManyClientsThatAreGoneLeaveNoMemory,
	TestPacketNumbersWrap,
	TestPacketsFindTheQueueTheyBelongTo,
	TestProbesOfTheMTUDelayNoMessage,
	TestReorderingIsLearntAndTolerated,
	TestTheControllerIsToldHowManyPacketsWereMarked,
	TestTheControllerIsToldThatWhatCountedAsLostWasLate,
	TestTheMTUIsProbedUpToWhatTheLinkCarries,
	TestTheNarrowerLimitsAreAgreedOn,
	TestTheReceiversQueueBoundsWhatIsInFlight,
	TestTimeInOurOwnSendQueueIsNotTheNetworks,
	TestTimeInReceiveQueuesIsNotTheNetworks,
	TestWhatWasOvertakenIsLostBeforeThereIsSilence,
	TestWordOfANetworkThatIsNotThereEndsAnAttempt,
}

// ofOneHello are those that count Hellos, of which TLS needs several at a time.
var ofOneHello = []func(*testing.T){
	TestAServerThatTakesNoCookieDoesNotKeepItsClientBusy,
	TestAClientWithACookieGrownOldGetsAnother,
}

func tellSealed(t *testing.T, stories []func(*testing.T)) {
	for _, story := range stories {
		name := runtime.FuncForPC(reflect.ValueOf(story).Pointer()).Name()
		t.Run(name[strings.LastIndexByte(name, '.')+1:], story)
	}
}

func TestConnectionsWithAKeyBehaveAsPlainOnesDo(t *testing.T) {
	t.Parallel()
	tellSealed(t, slices.Concat(stories, ofOneHello))
}

func TestConnectionsWithTLSBehaveAsPlainOnesDo(t *testing.T) {
	t.Parallel()
	tellSealed(t, stories)
}
