package conformance

import (
	"flag"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"
	"time"
)

var (
	rpcSeed = flag.Uint64("conformance.seed", 0, "replay the load and the faults of the RPC suite's run with this `seed`")
	rpcSoak = flag.Duration("conformance.soak", 0, "also run the RPC suite's soak for this `time`, such as 1m or 8h, and look for lost wake-ups for longer; give -timeout 0 too")
)

// RPC holds the protocol engine over f's backend to what it promises: each
// request executes at most once, each call completes once, with the right reply
// or with an error that says whether it may have executed, and nothing is left
// behind.
//
// Unless f is of one process, some subtests run the test binary again, up to
// this very call, as the other side, and kill it. So a test calls RPC once, and
// is not parallel, since each subtest looks for what the process has left behind.
//
// Two flags of the test binary belong to it. -conformance.soak adds a soak with
// random load and faults: a minute (1m) is for every change, a night (8h) for a
// release. A hundredth of its time is given to each of the transport suite's
// searches for a lost wake-up. -conformance.seed replays the load and the faults of a run that
// failed, though not the host's timing.
func RPC(t *testing.T, f Factory) {
	if actAsPeer(t, f) {
		return
	}
	tell := func(name string, story func(*stage)) {
		t.Run(name, func(t *testing.T) {
			requireNothingLeft(t, f)
			seed := *rpcSeed
			if seed == 0 {
				seed = rand.Uint64()
			}
			t.Log(replay(t.Name(), seed))
			story(newStage(t, f, seed))
		})
	}
	faultStories(tell, f.Brief)
	longStory(tell)
	if !f.Brief {
		edgeStory(tell)
		sessionStories(tell)
		settingStories(tell)
	}
	streamStories(tell)
	endingStories(tell)
	restartStories(tell)
	if !f.OneProcess {
		processStories(tell, rerun{t.Name()})
	}
	tell("TheEngineGoesQuietWhenWorkEnds", quietStory)
	if *rpcSoak > 0 {
		tell("Soak", func(s *stage) { soakStory(s, *rpcSoak) })
	}
}

// replay is the command that draws the same for the test of that name again.
func replay(name string, seed uint64) string {
	command := fmt.Sprintf("go test -run '%s' -conformance.seed=%d", anchored(name), seed)
	if *rpcSoak > 0 {
		command += fmt.Sprintf(" -timeout 0 -conformance.soak=%v", *rpcSoak)
	}
	return "replay, in the folder of this test: " + command
}

// anchored is the -test.run that runs the test of that name only.
func anchored(name string) string {
	parts := strings.Split(name, "/")
	for i := range parts {
		parts[i] = "^" + regexp.QuoteMeta(parts[i]) + "$"
	}
	return strings.Join(parts, "/")
}

// tell runs a story as a subtest.
type tell = func(name string, story func(*stage))

// stage is what a story is told on.
type stage struct {
	*testing.T
	Factory
	rand  *rand.Rand
	hosts []*host // open
}

func newStage(t *testing.T, f Factory, seed uint64) *stage {
	sequence() // takes a while
	name := fnv.New64()
	name.Write([]byte(t.Name()))
	s := &stage{T: t, Factory: f, rand: rand.New(rand.NewPCG(seed, name.Sum64()))}
	t.Cleanup(func() {
		for len(s.hosts) > 0 {
			s.hosts[len(s.hosts)-1].close()
		}
	})
	return s
}

// eventually waits until condition holds; otherwise it fails with what was
// waited for and what report says.
func (s *stage) eventually(condition func() bool, report func() string, what string) {
	s.Helper()
	for began := time.Now(); !condition(); time.Sleep(time.Millisecond) {
		if time.Since(began) > patience {
			s.Fatalf("in %v it did not happen that %s\n%s", patience, what, report())
		}
	}
}
