package transport

import (
	"fmt"
	"math/bits"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// hand is a clock that the test moves.
type hand struct{ time.Duration }

func (h *hand) now() time.Duration { return h.Duration }

// faulty decorates a fake.
func faulty(spec string) (*Fault, *fake, *hand) {
	f, err := ParseFaults(spec)
	if err != nil {
		panic(err)
	}
	inner, clock := newFake(), new(hand)
	return newFault(inner, f, clock.now), inner, clock
}

// numbers are n datagrams that can be told apart.
func numbers(n int) []string {
	texts := make([]string, n)
	for i := range texts {
		texts[i] = fmt.Sprintf("%04d", i)
	}
	return texts
}

// send sends the first half of each text as Head and the rest as Payload.
func send(t *testing.T, tr Transport, texts ...string) {
	t.Helper()
	for burst := range slices.Chunk(texts, 16) {
		pkts := make([]TxPacket, len(burst))
		require.Equal(t, len(pkts), tr.Reserve(pkts))
		for i, text := range burst {
			p := &pkts[i]
			p.Route, p.ECN = 7, ECT0
			p.Head = p.Head[:copy(p.Head, text[:len(text)/2])]
			p.Payload = []byte(text[len(text)/2:])
		}
		n, err := tr.Send(pkts)
		require.NoError(t, err)
		require.Equal(t, len(pkts), n)
		for _, p := range pkts {
			require.Nil(t, p.Head)
			require.Nil(t, p.Payload)
		}
	}
}

// recv receives and releases until there is no more.
func recv(t *testing.T, tr Transport) []string {
	t.Helper()
	texts := []string{}
	for {
		pkts := make([]RxPacket, 16)
		n, err := tr.Recv(pkts)
		require.NoError(t, err)
		if n == 0 {
			return texts
		}
		for _, p := range pkts[:n] {
			texts = append(texts, string(p.Data))
			require.Equal(t, CE, p.ECN)
		}
		tr.Release(pkts[:n])
	}
}

func TestWithoutFaultsAllPassesAsItIs(t *testing.T) {
	t.Parallel()
	tr, inner, _ := faulty("seed=7")
	send(t, tr, numbers(100)...)
	require.Equal(t, numbers(100), inner.texts())
	inner.completed = 42
	require.Equal(t, uint64(42), tr.Completed())
	inner.arrive(numbers(100)...)
	pkts := make([]RxPacket, 100)
	data := &inner.inbox[42].Data[0]
	n, err := tr.Recv(pkts)
	require.NoError(t, err)
	require.Equal(t, 100, n)
	require.Same(t, data, &pkts[42].Data[0])
	tr.Release(pkts)
	require.Equal(t, uint64(1000), inner.released[0])
	require.NoError(t, tr.Wait(-1))
	require.Negative(t, inner.waited[0])
	require.Equal(t, inner.Caps().Notes, tr.Caps().Notes)
}

func TestHandlesOfABackendAreAnything(t *testing.T) {
	t.Parallel()
	tr, inner, _ := faulty("")
	inner.arrive("a", "b", "c")
	inner.inbox[1].Handle = 1<<64 - 1
	pkts := make([]RxPacket, 3)
	_, err := tr.Recv(pkts)
	require.NoError(t, err)
	tr.Release(pkts[1:])
	tr.Release(pkts[:1])
	require.Equal(t, []uint64{1<<64 - 1, 1002, 1000}, inner.released)
}

func TestDatagramsWithoutAFaultPassUncopied(t *testing.T) {
	t.Parallel()
	tr, inner, _ := faulty("loss=1e-9")

	send(t, tr, numbers(100)...)
	require.Equal(t, numbers(100), inner.texts())
	require.Equal(t, 2, inner.outbox[99].parts, "the payload is gathered by the backend")
	require.Equal(t, datagram{"0099", 7, ECT0, 2}, inner.outbox[99])

	inner.arrive(numbers(100)...)
	pkts := make([]RxPacket, 100)
	data := &inner.inbox[42].Data[0]
	n, err := tr.Recv(pkts)
	require.NoError(t, err)
	require.Equal(t, 100, n)
	require.Same(t, data, &pkts[42].Data[0])
	tr.Release(pkts[40:])
	tr.Release(pkts[:40])
	require.Len(t, inner.released, 100)
	require.Equal(t, uint64(1040), inner.released[0])
	require.Zero(t, tr.Stats().FaultsApplied)
}

func TestLossLosesAboutAsManyAsAsked(t *testing.T) {
	t.Parallel()
	tr, inner, _ := faulty("loss=0.1,seed=3")

	send(t, tr, numbers(5000)...)
	require.InDelta(t, 4500, len(inner.outbox), 100)
	require.True(t, slices.IsSorted(inner.texts()))

	inner.arrive(numbers(5000)...)
	got := recv(t, tr)
	require.InDelta(t, 4500, len(got), 100)
	require.True(t, slices.IsSorted(got))
	require.Len(t, inner.released, 5000, "lost datagrams are released as well")

	require.Equal(t, uint64(10000-len(inner.outbox)-len(got)), tr.Stats().FaultsApplied)
	require.LessOrEqual(t, len(tr.heads), 16, "heads of lost datagrams are lent again")
}

func TestDuplicatesComeTwice(t *testing.T) {
	t.Parallel()
	tr, inner, _ := faulty("dup=1")
	want := []string{"a", "a", "b", "b", "c", "c"}

	send(t, tr, "a", "b", "c")
	require.Equal(t, want, inner.texts())
	inner.arrive("a", "b", "c")
	require.Equal(t, want, recv(t, tr))
	require.Len(t, inner.released, 3)
	require.Equal(t, uint64(6), tr.Stats().FaultsApplied)
}

func TestCorruptionFlipsOneBitAndSaysSo(t *testing.T) {
	t.Parallel()
	tr, inner, _ := faulty("corrupt=1,seed=5")
	require.False(t, tr.Caps().Integrity)
	text := strings.Repeat("x", 40)
	flipped := func(got string) (n int) {
		require.Len(t, got, len(text))
		for i := range got {
			n += bits.OnesCount8(got[i] ^ text[i])
		}
		return n
	}

	send(t, tr, text, text)
	require.Equal(t, 1, flipped(inner.outbox[0].text))
	require.Equal(t, 1, flipped(inner.outbox[1].text))
	require.NotEqual(t, inner.outbox[0], inner.outbox[1])

	inner.arrive(text)
	original := inner.inbox[0].Data
	require.Equal(t, 1, flipped(recv(t, tr)[0]))
	require.Equal(t, text, string(original), "the backend's memory is read-only")

	send(t, tr, "")
	require.Equal(t, "", inner.outbox[2].text, "nothing to flip")
}

func TestReorderLetsUpToEightOvertake(t *testing.T) {
	t.Parallel()
	tr, inner, _ := faulty("reorder=0.2,seed=9")
	displaced := func(got []string) {
		require.ElementsMatch(t, numbers(len(got)), got)
		late := 0
		for at, text := range got {
			var number int
			fmt.Sscan(strings.TrimLeft(text, "0")+" 0", &number)
			require.LessOrEqual(t, at-number, maxOvertakers)
			if at > number {
				late++
			}
		}
		require.NotZero(t, late)
	}

	send(t, tr, append(numbers(500), "end", "end", "end", "end", "end", "end", "end", "end", "end", "end")...)
	sent := slices.DeleteFunc(inner.texts(), func(s string) bool { return s == "end" })
	require.Len(t, sent, 500)
	displaced(sent)

	inner.arrive(numbers(500)...)
	got := recv(t, tr)
	tr.rx.flush()
	displaced(append(got, recv(t, tr)...))
}

func TestAnOvertakenDatagramDoesNotWaitForOthersForEver(t *testing.T) {
	t.Parallel()
	tr, inner, clock := faulty("reorder=1")

	send(t, tr, "out")
	inner.arrive("in")
	require.Empty(t, recv(t, tr))
	require.Empty(t, inner.outbox)
	require.NoError(t, tr.Wait(-1))
	require.Equal(t, maxOvertaken, inner.waited[0], "Wait returns when it is due")

	clock.Duration = maxOvertaken
	require.NoError(t, tr.Wait(time.Hour))
	require.Zero(t, inner.waited[1])
	require.Equal(t, []string{"in"}, recv(t, tr))
	require.Equal(t, []string{"out"}, inner.texts())
	require.NoError(t, tr.Wait(-1))
	require.Negative(t, inner.waited[2], "nothing is held any more")
}

func TestDelayKeepsTheOrder(t *testing.T) {
	t.Parallel()
	tr, inner, clock := faulty("delay=5ms")

	send(t, tr, "a", "b")
	inner.arrive("A", "B")
	require.Empty(t, recv(t, tr))
	clock.Duration = 2 * time.Millisecond
	send(t, tr, "c")
	require.NoError(t, tr.Wait(-1))
	require.Equal(t, 3*time.Millisecond, inner.waited[0])
	require.NoError(t, tr.Wait(time.Millisecond))
	require.Equal(t, time.Millisecond, inner.waited[1])

	clock.Duration = 5 * time.Millisecond
	require.Equal(t, []string{"A", "B"}, recv(t, tr))
	require.Equal(t, []string{"a", "b"}, inner.texts())
	clock.Duration = 7 * time.Millisecond
	require.Empty(t, recv(t, tr))
	require.Equal(t, datagram{"c", 7, ECT0, 1}, inner.outbox[2])
	require.Zero(t, tr.Stats().FaultsApplied, "delays are not counted")
}

func TestOvertakingWorksUnderDelayToo(t *testing.T) {
	t.Parallel()
	tr, inner, clock := faulty("delay=1ms,reorder=0.3,seed=2")

	send(t, tr, numbers(200)...)
	clock.Duration = time.Second
	recv(t, tr)
	clock.Duration = 2 * time.Second
	recv(t, tr)
	require.ElementsMatch(t, numbers(200), inner.texts())
	require.False(t, slices.IsSorted(inner.texts()))
}

func TestTheSameSeedMeetsTheSameFaults(t *testing.T) {
	t.Parallel()
	run := func(spec string, burst int) (sent, got []string) {
		tr, inner, _ := faulty(spec)
		for part := range slices.Chunk(numbers(400), burst) {
			inner.room = 3 // a full queue now and then decides nothing anew
			pkts := make([]TxPacket, len(part))
			tr.Reserve(pkts)
			for i := range pkts {
				pkts[i].Head = pkts[i].Head[:copy(pkts[i].Head, part[i])]
			}
			for len(pkts) > 0 {
				n, err := tr.Send(pkts)
				require.NoError(t, err)
				pkts = pkts[n:]
				inner.room = 3
			}
		}
		inner.room = 1 << 20
		inner.arrive(numbers(400)...)
		got = recv(t, tr)
		return inner.texts(), got
	}
	const spec = "loss=0.1,dup=0.1,reorder=0.1,corrupt=0.1,seed="
	sent, got := run(spec+"1", 7)
	again, gotAgain := run(spec+"1", 7)
	require.Equal(t, sent, again)
	require.Equal(t, got, gotAgain)
	require.NotEqual(t, sent, got, "directions decide independently")

	other, _ := run(spec+"2", 7)
	require.NotEqual(t, sent, other)

	inBursts, _ := run("loss=0.1,seed=1", 16)
	oneByOne, _ := run("loss=0.1,seed=1", 1)
	require.Equal(t, inBursts, oneByOne)
}

func TestCompletedCountsThePayloadsThatAreFree(t *testing.T) {
	t.Parallel()
	tr, inner, _ := faulty("loss=0.5,seed=1")
	lost := func(i int) bool { return !slices.Contains(inner.texts(), numbers(100)[i]) }

	send(t, tr, numbers(100)...)
	for inner.completed < uint64(len(inner.outbox)) {
		done := int(tr.Completed())
		through := 0
		for i := range done {
			if !lost(i) {
				through++
			}
		}
		require.LessOrEqual(t, through, int(inner.completed), "none is reported that the backend still reads")
		inner.completed++
	}
	require.Equal(t, uint64(100), tr.Completed())
}

func TestAFullQueueHoldsCopiesBackAndWaitsForRoom(t *testing.T) {
	t.Parallel()
	tr, inner, _ := faulty("dup=1")
	inner.room = 1

	send(t, tr, "a", "b")
	require.Equal(t, []string{"a"}, inner.texts())
	require.NoError(t, tr.Wait(-1))
	require.Negative(t, inner.waited[0], "the backend knows when there is room")

	inner.room = 100
	recv(t, tr)
	require.Equal(t, []string{"a", "a", "b", "b"}, inner.texts())
	require.LessOrEqual(t, inner.reserved, 4)
}

func TestMemoryIsBounded(t *testing.T) {
	t.Parallel()
	tr, inner, _ := faulty("delay=1s")

	send(t, tr, numbers(maxHeld+10)...)
	require.Equal(t, numbers(10), inner.texts(), "beyond the bound the oldest leave early")

	inner.room = 0
	pkts := make([]TxPacket, 16)
	tr.Reserve(pkts)
	n, err := tr.Send(pkts)
	require.NoError(t, err)
	require.LessOrEqual(t, n, 1)
	require.NotNil(t, pkts[n].Head, "what was not taken is the caller's")

	inner.arrive(numbers(3 * maxHeld)...)
	held := make([]RxPacket, 3*maxHeld)
	n, err = tr.Recv(held)
	require.NoError(t, err)
	more, err := tr.Recv(held[n:])
	require.NoError(t, err)
	require.LessOrEqual(t, tr.rx.held()+n+more, 2*maxHeld)
	tr.Release(held[:n+more])
	require.Equal(t, numbers(n + more)[n+more-1], string(held[n+more-1].Data[:4]))
}

func TestForgetSendsWhatIsHeldFirst(t *testing.T) {
	t.Parallel()
	tr, inner, _ := faulty("delay=1s,reorder=0.5")
	send(t, tr, numbers(20)...)
	require.Empty(t, inner.outbox)

	inner.room = 15
	tr.Forget(7)
	require.Len(t, inner.outbox, 15)
	require.Equal(t, []Route{7}, inner.forgotten)
	inner.room = 100
	recv(t, tr)
	require.Len(t, inner.outbox, 15, "what the route outlived is lost")
}

func TestTheBackendRefusesOversizedDatagrams(t *testing.T) {
	t.Parallel()
	tr, inner, _ := faulty("delay=1s")
	send(t, tr, strings.Repeat("x", 70))
	require.Len(t, inner.outbox, 1)
}

func TestACloseIsSeenThroughTheDecorator(t *testing.T) {
	t.Parallel()
	tr, inner, _ := faulty("loss=0.5,reorder=0.5")
	require.NoError(t, tr.Close())
	require.True(t, inner.closed)
	_, err := tr.Recv(make([]RxPacket, 1))
	require.ErrorIs(t, err, ErrClosed)
	pkts := make([]TxPacket, 16)
	tr.Reserve(pkts)
	_, err = tr.Send(pkts)
	require.ErrorIs(t, err, ErrClosed)
	require.Contains(t, tr.Caps().Notes, "faults are injected: loss=0.5,reorder=0.5")
	require.Equal(t, []string{"inner"}, inner.Caps().Notes)
}

func TestFaultsChangeWhileItRuns(t *testing.T) {
	t.Parallel()
	tr, inner, clock := faulty("")
	round := func(texts ...string) (sent, got []string) {
		before := len(inner.outbox)
		send(t, tr, texts...)
		inner.arrive(texts...)
		for got = recv(t, tr); len(inner.inbox) > 0; {
			got = append(got, recv(t, tr)...) // all of a burst may be lost
		}
		return inner.texts()[before:], got
	}
	all := numbers(50)
	sent, got := round(all...)
	require.Equal(t, all, sent)
	require.Equal(t, all, got)

	tr.Set(Faults{Loss: 1}) // a partition
	require.Equal(t, Faults{Loss: 1}, tr.Faults())
	sent, got = round(all...)
	require.Empty(t, sent)
	require.Empty(t, got)

	tr.Set(Faults{})
	sent, got = round(all...)
	require.Equal(t, all, sent)
	require.Equal(t, all, got)

	// What was held back leaves when it was to.
	tr.Set(Faults{Delay: time.Second})
	sent, got = round("late")
	require.Empty(t, append(sent, got...))
	tr.Set(Faults{})
	sent, got = round("early")
	require.Equal(t, []string{"early", "early"}, append(sent, got...))
	require.NoError(t, tr.Wait(-1))
	require.Equal(t, time.Second, inner.waited[len(inner.waited)-1])
	clock.Duration = time.Second
	require.Equal(t, []string{"late"}, recv(t, tr))
	require.Equal(t, "late", inner.outbox[len(inner.outbox)-1].text)
	require.NoError(t, tr.Wait(-1))
	require.Negative(t, inner.waited[len(inner.waited)-1])

	inner.completed = uint64(len(inner.outbox))
	require.Equal(t, uint64(50+50+50+2), tr.Completed(), "each that was taken counts once")
}

func TestPayloadsOnTheirWayOutliveAChangeOfFaults(t *testing.T) {
	t.Parallel()
	tr, inner, _ := faulty("")
	send(t, tr, numbers(10)...)
	inner.completed = 4
	require.Equal(t, uint64(4), tr.Completed())
	tr.Set(Faults{Loss: 1})
	send(t, tr, numbers(10)...)
	require.Equal(t, uint64(4), tr.Completed())
	tr.Set(Faults{})
	send(t, tr, numbers(10)...)
	inner.completed = 9
	require.Less(t, tr.Completed(), uint64(10))
	inner.completed = 10
	require.GreaterOrEqual(t, tr.Completed(), uint64(10))
	require.LessOrEqual(t, tr.Completed(), uint64(20))
	inner.completed = 20
	require.Equal(t, uint64(30), tr.Completed())
	send(t, tr, "once more")
	require.Equal(t, uint64(30), tr.Completed())
}

func TestADamagedDatagramDoesNotPassAChecksum(t *testing.T) {
	t.Parallel()
	tr, inner, _ := faulty("")
	require.True(t, tr.Caps().Integrity)
	tr.Set(Faults{Corrupt: 1})
	send(t, tr, "text")
	require.Empty(t, inner.outbox)
	require.Equal(t, uint64(1), tr.Stats().FaultsApplied)
}

func TestASeedBeginsAnewWhenFaultsAreSet(t *testing.T) {
	t.Parallel()
	lost := func(before int) []string {
		tr, inner, _ := faulty("loss=0.5,seed=9")
		send(t, tr, numbers(before)...)
		passed := len(inner.outbox)
		tr.Set(Faults{Loss: 0.3, Seed: 5})
		send(t, tr, numbers(200)...)
		return inner.texts()[passed:]
	}
	require.Equal(t, lost(0), lost(77))
}

func TestAnyoneMayChangeFaults(t *testing.T) {
	t.Parallel()
	tr, inner, _ := faulty("")
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := range 1000 {
			tr.Set(Faults{Loss: float64(i%3) / 4, Duplicate: float64(i%2) / 2, Seed: uint64(i)})
			_ = tr.Faults()
		}
		tr.Set(Faults{})
	}()
	for running := true; running; {
		select {
		case <-done:
			running = false
		default:
		}
		send(t, tr, numbers(20)...)
		inner.completed = uint64(len(inner.outbox))
		require.LessOrEqual(t, tr.Completed(), tr.taken)
		inner.arrive(numbers(20)...)
		recv(t, tr)
	}
	send(t, tr, numbers(20)...)
	recv(t, tr)
	inner.completed = uint64(len(inner.outbox))
	require.Equal(t, tr.taken, tr.Completed())
}

// chatty is a backend with all that a backend may have.
type chatty struct{ *fake }

func (chatty) Dial(netip.AddrPort) (Route, error) { return 99, nil }

func (chatty) NextUnreachable() (Unreachable, bool) { return Unreachable{Data: []byte("word")}, true }

func TestWhatABackendCanBesidesIsNotHidden(t *testing.T) {
	t.Parallel()
	tr := NewFault(chatty{newFake()}, Faults{Loss: 1})
	r, err := Dial(tr, netip.AddrPort{})
	require.NoError(t, err)
	require.Equal(t, Route(99), r)
	u, ok := tr.NextUnreachable()
	require.True(t, ok)
	require.Equal(t, "word", string(u.Data))

	tr = NewFault(newFake(), Faults{})
	r, err = Dial(tr, netip.AddrPort{})
	require.NoError(t, err)
	require.Equal(t, Route(7), r, "what cannot dial resolves")
	_, ok = tr.NextUnreachable()
	require.False(t, ok)
}

func TestACopyKeepsItsAddresses(t *testing.T) {
	t.Parallel()
	tr, inner, _ := faulty("dup=1")
	inner.arrive("a")
	inner.inbox[0].From = netip.MustParseAddrPort("192.0.2.1:7")
	inner.inbox[0].To = netip.MustParseAddr("192.0.2.2")
	want := inner.inbox[0]
	pkts := make([]RxPacket, 2)
	n, err := tr.Recv(pkts)
	require.NoError(t, err)
	require.Equal(t, 2, n)
	for _, p := range pkts {
		require.Equal(t, want.From, p.From)
		require.Equal(t, want.To, p.To)
	}
}

func TestFaultsAreReadAndWritten(t *testing.T) {
	t.Parallel()
	const spec = "loss=0.01,dup=0.02,reorder=0.05,delay=1ms,corrupt=0.001,seed=7"
	f, err := ParseFaults(spec)
	require.NoError(t, err)
	require.Equal(t, Faults{Loss: 0.01, Duplicate: 0.02, Reorder: 0.05, Delay: time.Millisecond, Corrupt: 0.001, Seed: 7}, f)
	require.Equal(t, spec, f.String())

	f, err = ParseFaults("  ")
	require.NoError(t, err)
	require.Zero(t, f)
	require.Empty(t, f.String())

	for spec, says := range map[string]string{
		"los=0.1":         `key "los": unknown key (did you mean "loss"?); known keys are loss, dup,`,
		"loss":            `key "loss": has no value`,
		"loss=2":          `key "loss": "2" is not a probability: write a number from 0 to 1`,
		"dup=-0.1":        `key "dup"`,
		"reorder=NaN":     `key "reorder"`,
		"corrupt=1%":      `key "corrupt"`,
		"loss=0,loss=0.1": `key "loss": given more than once`,
		"delay=1":         `key "delay": "1" is not a delay`,
		"delay=11s":       "from 0s to 10s",
		"delay=-1s":       `key "delay"`,
		"seed=-1":         `key "seed"`,
		"loss=0.1,":       `key "": has no value`,
	} {
		_, err := ParseFaults(spec)
		var wrong *ConfigError
		require.ErrorAs(t, err, &wrong, spec)
		require.ErrorContains(t, err, says)
	}
}

func FuzzParseFaults(f *testing.F) {
	f.Add("loss=0.01,dup=0.01,reorder=0.05,delay=1ms,corrupt=0.001,seed=7")
	f.Add("loss=-0,seed=18446744073709551615")
	f.Add(" dup=1e-300 ,delay=1.5us")
	f.Fuzz(func(t *testing.T, text string) {
		faults, err := ParseFaults(text)
		if err != nil {
			require.Zero(t, faults)
			return
		}
		again, err := ParseFaults(faults.String())
		require.NoError(t, err)
		require.Equal(t, faults, again)
	})
}
