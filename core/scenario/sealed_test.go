package scenario_test

import (
	"reflect"
	"runtime"
	"strings"
	"testing"
)

// sealedStories is the test in whose worlds all connections are sealed.
const sealedStories = "TestSealedWorldsEndAsPlainOnesDo"

// What is told of plain connections holds of sealed ones, too, but where a story looks into
// datagrams, or counts on a reset, which proves nothing here, to be believed at once.
func TestSealedWorldsEndAsPlainOnesDo(t *testing.T) {
	t.Parallel()
	for _, story := range []func(*testing.T){
		TestABlackholeInOneDirectionIsGivenUpOnByBothSides,
		TestABlackholeInOneDirectionThatHealsInTimeIsSurvived,
		TestACancelRacesTheReply,
		TestACanceledCallOfASlowHandlerFreesItsSlotOnBothSides,
		TestACrowdConnectsThroughAWireThatLosesAndRepeats,
		TestADeadlinePassesBeforeThereIsAConnection,
		TestADeadlinePassesInTheClientsQueue,
		TestADeadlinePassesInTheHandler,
		TestADeadlinePassesInTheServersReceiveQueue,
		TestADeadlinePassesWhileTheNetworkCardTakesNothing,
		TestAHandlerThatStopsAnsweringStopsNewCallsAndNothingElse,
		TestAHandshakeThatNobodyAnswersIsGivenUp,
		TestALongPartitionEndsTheConnectionAndHealingItRestoresService,
		TestAPartitionOfHalfTheKeepAliveIsJustADelay,
		TestAPathThatGrowsIsFoundOut,
		TestAPathThatReordersIsLearntAndCostsLittle,
		TestAPathThatShrinksAmidTransfersStillCarriesThem,
		TestAPathThatShrinksInOneDirectionShrinksThatOneOnly,
		TestAPauseShorterThanTheKeepAliveIsJustADelay,
		TestAPeerThatIsMerelyNotScheduledIsNotToldTwice,
		TestAReceiveBufferThatOverflowsRecovers,
		TestARequestOutlivesItsSessionWhileAHandlerHasIt,
		TestARequestThatArrivesAgainAndAgainExecutesOnce,
		TestARestartedClientIsServedAndItsFormerSelfForgotten,
		TestARestartedServerIsFoundAgain,
		TestAServerPausedForLongerThanTheKeepAliveComesBack,
		TestAServerThatIsSlowerThanItsClientsServesThemAll,
		TestAWindowOfOneDatagramStillMoves,
		TestAWireThatLosesOneInTenIsOfUse,
		TestAllCreditsLostAtOnceComeBack,
		TestBothSidesRestartAtOnce,
		TestCallsThatWaitForASlotOutliveTheConnection,
		TestCallsWaitForSlotsInOrderUntilTheQueueIsFull,
		TestConnectionIndexesAreUsedAgain,
		TestDatagramsRecordedAndPlayedBackMuchLaterDoNothing,
		TestEachDatagramOfAHandshakeMayBeLost,
		TestEachMarkOnTheWayIsReportedOnce,
		TestFragmentsInAnyOrderMakeTheMessage,
		TestIncastOverflowsTheQueueAndRecovers,
		TestMemoryForRequestsRunsOutAndComesBack,
		TestSeveralQueuesOfOneAddress,
		TestStreamsOfAClientThatDiesEnd,
		TestSubscribersThatDoNotReadKeepNobodyWaiting,
		TestTheCountOfMarksWraps,
		TestTheGenerationsOfASessionIndexWrap,
	} {
		name := runtime.FuncForPC(reflect.ValueOf(story).Pointer()).Name()
		t.Run(name[strings.LastIndexByte(name, '.')+1:], story)
	}
}
