package core

import (
	"math/rand/v2"
	"reflect"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine/core/packet/psk"
)

// seal has an endpoint of a test that is of sealed connections make and take no others.
func (d *node) seal(cfg *Config) {
	if !strings.HasPrefix(d.net.t.Name(), "TestSealed") {
		return
	}
	security, err := psk.New([][psk.KeySize]byte{{1}}, rand.NewChaCha8(cfg.Seed))
	require.NoError(d.net.t, err)
	cfg.Security = security
}

func TestSealedSchedules(t *testing.T) { TestRandomSchedules(t) }

// What is told of plain connections holds of sealed ones, too, but where a test speaks for
// a peer by hand, or reads datagrams.
func TestSealedConnectionsCarryAllThatPlainOnesDo(t *testing.T) {
	t.Parallel()
	for _, story := range []func(*testing.T){
		TestACallFailsAtOnceWhileTheServerIsKnownToBeAway,
		TestACallIsNotDoneBeforeItsRequestIsRead,
		TestACallThatExpiresBeforeItIsSentDoesNotExecute,
		TestACallThatWaitsForReadyOutlivesFailedAttempts,
		TestAClientOfAnotherVersionIsToldSo,
		TestACloseIsTold,
		TestAClosedSessionTellsTheServer,
		TestACodeThatIsNoneArrivesAsUnknownAndNamed,
		TestACompletionMaySubmitWhileTheEndpointCloses,
		TestADeadPortIsKnownWithinARoundTrip,
		TestADeadlineEndsAStreamAtBothSides,
		TestADeadlineThatIsNotReachedChangesNothing,
		TestADeferredRequestKeepsItsData,
		TestADrainingServerFinishesWhatItAccepted,
		TestAFragmentOfTheFormerCutCountsForNoneOfTheNext,
		TestAHandlerThatClosesTheEndpointLeavesTheRestOfTheBurstUnread,
		TestALaterCompletionDoesNotWaitForAnEarlierOne,
		TestALimitHoldsAlsoIfThePeerForgetsIt,
		TestALongCallIsAskedForAgainAndRunsOnce,
		TestALongDeadlineArrivesAsItIs,
		TestALongReplyIsReleasedOnceAndNotBeforeItIsRead,
		TestALostGoodbyeIsMadeUpForByTheKeepAlive,
		TestAMessageBehindALongHeaderIsNotGivenBackBeforeItIsSent,
		TestAMessageMayBeTooLongInEitherDirection,
		TestAPingOfAnUnreachableServerFails,
		TestAPingThatWaitsForTheConnectionIsAnsweredWithoutAnyMessage,
		TestARecorderKeepsTheNewest,
		TestARefusalWithACodeThatIsNoneIsUnknown,
		TestARepliesMemoryIsReleasedHoweverTheRequestEnds,
		TestAReplyComesBack,
		TestAResponseThatWaitsForTheTransportIsKeptWhole,
		TestASerialTellsARequestFromTheNextOneInItsPlace,
		TestAServerHoldsSoManyRequestsAndNoMore,
		TestAServerThatGrantsEverythingDoesNotFillItsClient,
		TestAServerThatIsFullRefuses,
		TestAServersEndStopsAClientThatHasNotReadYet,
		TestASessionInWhichAnythingIsUnderWayIsNotIdle,
		TestASessionKnowsItsAddresses,
		TestASessionMovesToAnotherAddressOfItsServer,
		TestASessionMovesToWhereAnotherIsConnected,
		TestASlowReaderStopsItsSenderAndNobodyElse,
		TestASparseSessionIndexIsRefused,
		TestAStaleNumberNeverRunsAnotherMethod,
		TestAStreamHasNotEndedWhileTheTransportReadsWhatItSent,
		TestAStreamSpeaksBothWaysAndEndsInOrder,
		TestAStreamThatNobodyServesIsRefused,
		TestAStreamWhoseHeaderHasArrivedMayHaveExecuted,
		TestAStreamsMessagesOfEverySizeArriveWholeAndInOrder,
		TestAStreamsWindowIsAsLargeAsItsReaderIsFast,
		TestATransportThatCarriesTooLittleIsRefused,
		TestATransportsFailureIsReported,
		TestAVeryLongDeadlineStillPasses,
		TestAnEchoLongerThanTheServersPacketsIsCopied,
		TestAnEchoMayBeLongerThanTheServersPackets,
		TestAnIdleSessionDoesNotHammerAndItsNextCallKnocksAgain,
		TestAnIdleSessionEndsAndItsNextCallOpensItAgain,
		TestAnUnansweredHandshakeFailsAllThatWait,
		TestCallsBeyondSlotsWaitAndBeyondTheQueueFail,
		TestCallsMayBeSubmittedBeforeTheConnectionStands,
		TestCallsSayWhatTheSessionWasToldOfItsServer,
		TestCancelFreesTheSlot,
		TestCloseCompletesEveryCall,
		TestEitherSideEndsAStreamAtOnce,
		TestErrorsSayWhatACallWaitedFor,
		TestEventsTellOfConnections,
		TestEveryRequestBeyondTheSessionsIsAnswered,
		TestEveryStreamThatIsGivenUpEndsAtTheServer,
		TestManyCallsAtOnceEachGetTheirOwnReply,
		TestManyClientsThatAreGoneLeaveNoMemory,
		TestManyFailedConnectionsLeaveNothingBehind,
		TestManyStreamsTakeNoSlotAndShareDatagrams,
		TestMemoryInUseAllTheTimeIsNotGivenBack,
		TestMemoryIsNotGivenBackWhileTheTransportReadsIt,
		TestMemoryThatNobodyNeededForASecondIsGivenBack,
		TestMemoryWhoseTimeIsOverIsPoisoned,
		TestMessageIdsWrap,
		TestMessagesOfEverySizeArriveWhole,
		TestNoRequestExecutesTwiceWhateverHappens,
		TestOddTimeouts,
		TestPacketsFindTheQueueTheyBelongTo,
		TestPeersAreListed,
		TestPoisonHarmsNothingThatIsInUse,
		TestReassemblyMemoryIsBounded,
		TestRequestSequencesWrap,
		TestSessionsAreBoundedByWhatTheServerSays,
		TestSessionsInUseDoNotMakeRoom,
		TestSessionsOfAllClientsTogetherAreBounded,
		TestSessionsOpenedBeforeTheServerHasSpokenAreAnswered,
		TestSmallMessagesQueuedBeforeThePathShrankStillGoOut,
		TestStreamsEndWithTheirConnection,
		TestStreamsThatAreIdleForLongGoOn,
		TestTheCauseOfAFailureIsNamed,
		TestTheClientWithTheMostSessionsMakesRoom,
		TestTheEndOfASessionWaitsForRoomAmongControls,
		TestTheEndsOfCallsAndRequestsAreTold,
		TestTheLargestMessageFindsRoomInMemoryOfItsSize,
		TestWhatAHandlerSaysArrivesAsUTF8,
		TestWhatIsCanceledWhileItWaitsForItsTurnIsNotSent,
		TestWhatStreamsHoldIsBounded,
		TestWhoJoinsAnAttemptHasAClockOfHisOwn,
		TestWhoOnlyDialsRefusesStrangers,
		TestWhoWaitsForAConnectionMovesAlong,
	} {
		name := runtime.FuncForPC(reflect.ValueOf(story).Pointer()).Name()
		t.Run(name[strings.LastIndexByte(name, '.')+1:], story)
	}
}
