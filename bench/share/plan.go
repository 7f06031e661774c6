package main

import (
	"fmt"
	"slices"
	"time"
)

// The paths. The longest queue is what a switch or a shaper has where nobody has
// thought of it: 10 ms, or a round trip if that is longer.
var (
	near = path{rate: 200e6, queue: 10 * time.Millisecond}
	some = path{rate: 100e6, trip: 5 * time.Millisecond, queue: 10 * time.Millisecond}
	far  = path{rate: 50e6, trip: 20 * time.Millisecond, queue: 20 * time.Millisecond}
)

func (p path) at(bits int) path         { p.rate = bits; return p }
func (p path) marking() path            { p.marks = true; return p }
func (p path) losing(part float64) path { p.loss = part; return p }

func ours(n int, name string) group { return group{n: n, name: name} }
func tcp(n int, name string) group  { return group{n: n, tcp: true, name: name} }
func small(name string) group       { return group{n: 1, name: name, small: true} }

// section is one question, and the contests that answer it.
type section struct {
	title, about string
	value        string // what is judged
	latency      bool   // of small calls, in place of the others' rates
	contests     []judged
}

// judged is a contest, and what has to come of it.
type judged struct {
	contest
	want   bound
	judge  func(got, beside outcome) float64
	beside *contest // that it is compared with
}

// bound is from low to high; high 0 means none. The zero bound is no target.
type bound struct{ low, high float64 }

func (b bound) String() string {
	switch {
	case b == bound{}:
		return "–"
	case b.high == 0:
		return fmt.Sprintf("≥ %.2f", b.low)
	case b.low == 0:
		return fmt.Sprintf("≤ %.2f", b.high)
	}
	return fmt.Sprintf("%.1f to %.1f", b.low, b.high)
}

func (b bound) holds(x float64) bool { return x >= b.low && (b.high == 0 || x <= b.high) }

// sections are the questions.
func sections(controllers, algorithms []string) []section {
	one := section{
		title: "One against one", value: "share",
		about: "One flow of ours and one of TCP's. *Share* is what the first has of both. Where both are TCP it is to compare with.",
	}
	many := section{
		title: "One against four, and four against one", value: "Jain's index",
		about: "Jain's index is over all five: 1 if all have the same, 0.2 if one has all.",
	}
	alone := section{
		title: "Alone", value: "goodput / TCP's",
		about: "One flow of ours, and on the same path, in a run of its own, one of TCP under CUBIC.",
	}
	calls := section{
		title: "Small calls beside an upload", value: "p99 / (3 × idle + a datagram)", latency: true,
		about: "One upload, and small calls of another process: what the slowest hundredth of them takes, beside it and on the idle path.",
	}
	half := func(got, _ outcome) float64 { return got.share() }
	index := func(got, _ outcome) float64 { return got.jain() }
	ratio := func(got, beside outcome) float64 { return total(got.left) / total(beside.left) }
	others := slices.DeleteFunc(slices.Clone(algorithms), func(name string) bool { return name == "cubic" })
	for _, c := range controllers {
		equal := bound{0.4, 0.6}
		for _, p := range []path{near, near.at(50e6), some, some.marking(), far} {
			one.contests = append(one.contests, judged{contest{p, ours(1, c), tcp(1, "cubic")}, equal, half, nil})
		}
		if c == controllers[0] {
			for _, p := range []path{near.at(2e9), some.at(50e6).marking()} {
				one.contests = append(one.contests, judged{contest{p, ours(1, c), tcp(1, "cubic")}, equal, half, nil})
			}
			for _, p := range []path{near, near.at(1e9)} {
				delay := func(got, idle outcome) float64 {
					return got.p99.Seconds() / (3*idle.p99.Seconds() + 8*mtu/float64(p.rate))
				}
				calls.contests = append(calls.contests, judged{contest{p, ours(1, c), small(c)}, bound{high: 1}, delay, &contest{path: p, right: small(c)}})
			}
		}
		for _, a := range others {
			one.contests = append(one.contests, judged{contest{near, ours(1, c), tcp(1, a)}, equal, half, nil})
		}
		for _, p := range []path{near, some} {
			for _, n := range []int{1, 4} {
				many.contests = append(many.contests, judged{contest{p, ours(n, c), tcp(5-n, "cubic")}, bound{low: 0.9}, index, nil})
			}
		}
		for _, p := range []path{near, near.at(1e9), some, some.losing(0.001), some.losing(0.01), far} {
			least := bound{low: 0.95}
			if p.loss > 0 {
				least.low = 1
			}
			beside := &contest{path: p, left: tcp(1, "cubic")}
			alone.contests = append(alone.contests, judged{contest{path: p, left: ours(1, c)}, least, ratio, beside})
		}
	}
	for _, a := range others {
		one.contests = append(one.contests, judged{contest{near, tcp(1, "cubic"), tcp(1, a)}, bound{}, half, nil})
	}
	return []section{one, many, alone, calls}
}
