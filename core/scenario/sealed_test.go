package scenario_test

import (
	"crypto/tls"
	"math/rand/v2"
	"reflect"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine/core/packet"
	"github.com/peregrine-rpc/peregrine/core/packet/psk"
	"github.com/peregrine-rpc/peregrine/internal/handshake"
	"github.com/peregrine-rpc/peregrine/internal/testcert"
)

// The tests in whose worlds all connections are sealed: with a pre-shared key, and by TLS.
const (
	sealedStories = "TestSealedWorldsEndAsPlainOnesDo"
	tlsStories    = "TestWorldsWithTLSEndAsPlainOnesDo"
)

// sealable are the stories of plain connections that hold of sealed ones, too. Of the others some
// look into datagrams to lose the right one: deadlines on the way, amid a long request and on the way back, lost responses, credits,
// a server asked again and again, and the traces. Some count on a reset, which proves nothing here, to be believed
// at once: of an idle client, of one that was paused, and of a server with fewer queues. And twenty thousand sessions share one connection.
var sealable = []func(*testing.T){
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
	TestAServerThatWasPausedHearsAllItsClientsBeforeItGivesUpAny,
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
}

func TestSealedWorldsEndAsPlainOnesDo(t *testing.T) {
	t.Parallel()
	tell(t)
}

func TestWorldsWithTLSEndAsPlainOnesDo(t *testing.T) {
	t.Parallel()
	tell(t)
}

func tell(t *testing.T) {
	for _, story := range sealable {
		name := runtime.FuncForPC(reflect.ValueOf(story).Pointer()).Name()
		t.Run(name[strings.LastIndexByte(name, '.')+1:], story)
	}
}

// secure is how connections of a test's worlds are sealed; nil: they are not.
func secure(t require.TestingT, test string, seed [32]byte) (security packet.Security) {
	var err error
	switch {
	case strings.HasPrefix(test, sealedStories):
		security, err = psk.New([][psk.KeySize]byte{{1}}, rand.NewChaCha8(seed))
	case strings.HasPrefix(test, tlsStories):
		security, err = handshake.New(handshake.Config{Run: func(work func()) { work() }, TLS: certified()})
	}
	require.NoError(t, err)
	return security
}

// certified is of both sides, which share a certificate.
var certified = sync.OnceValue(func() *tls.Config {
	authority := testcert.New("authority")
	return &tls.Config{
		Certificates: []tls.Certificate{authority.Issue("node")}, RootCAs: authority.Pool(), ServerName: "node",
	}
})
