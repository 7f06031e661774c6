package packet_test

import (
	"reflect"
	"runtime"
	"strings"
	"testing"
)

// sealedStories is the test of which all worlds are sealed.
const sealedStories = "TestSealedConnectionsBehaveAsPlainOnesDo"

// What is told of plain connections holds of sealed ones, too, but where somebody on
// the way reads or forges.
func TestSealedConnectionsBehaveAsPlainOnesDo(t *testing.T) {
	t.Parallel()
	for _, story := range []func(*testing.T){
		TestAClientOfAnotherVersionIsToldSo,
		TestAClientThatOnlyListensIsFoundByItsKeepAlive,
		TestAClientWithACookieGrownOldGetsAnother,
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
		TestAServerThatTakesNoCookieDoesNotKeepItsClientBusy,
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
		TestForgedSourceAddressesMakeNoStateGrow,
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
	} {
		name := runtime.FuncForPC(reflect.ValueOf(story).Pointer()).Name()
		t.Run(name[strings.LastIndexByte(name, '.')+1:], story)
	}
}
