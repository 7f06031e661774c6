package core

import (
	"crypto/tls"
	"math/rand/v2"
	"reflect"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine/core/packet/psk"
	"github.com/peregrine-rpc/peregrine/internal/handshake"
	"github.com/peregrine-rpc/peregrine/internal/testcert"
)

// seal has an endpoint of a test that is of sealed connections make and take no others.
func (d *node) seal(cfg *Config) {
	var err error
	switch name := d.net.t.Name(); {
	case strings.HasPrefix(name, "TestSealed"):
		cfg.Security, err = psk.New([][psk.KeySize]byte{{1}}, rand.NewChaCha8(cfg.Seed))
	case strings.HasPrefix(name, "TestTLS"):
		cfg.Security, err = handshake.New(handshake.Config{Run: func(work func()) { work() }, TLS: certified()})
	}
	require.NoError(d.net.t, err)
}

// certified is of both sides, of which the server alone shows its certificate: one
// that clients shared would make them one client.
var certified = sync.OnceValue(func() *tls.Config {
	authority := testcert.New("authority")
	return &tls.Config{Certificates: []tls.Certificate{authority.Issue("node")}, RootCAs: authority.Pool(), ServerName: "node"}
})

func TestSealedSchedules(t *testing.T) { TestRandomSchedules(t) }

func TestTLSSchedules(t *testing.T) { TestRandomSchedules(t) }

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
