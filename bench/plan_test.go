package main

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine/cc"
)

// nowhere is ends that nothing is run at.
type nowhere struct{}

func (nowhere) Server(string) []string { return nil }
func (nowhere) Client(string) []string { return nil }
func (nowhere) Relay(string) []string  { return nil }

func TestEveryClaimIsAboutCasesOfItsGroup(t *testing.T) {
	t.Parallel()
	p := newPlan(programs{}, options{})
	for _, g := range slices.Concat(p.groups(), p.dpdkGroups(), p.iouringGroups(), p.xdpGroups(nowhere{}), p.relayGroups(nowhere{}), p.tlsGroups(), newPlan(programs{uringEcho: "echo"}, options{}).iouringGroups()) {
		cases := map[string]bool{"": true}
		for _, c := range g.Cases {
			require.False(t, cases[c.Name], "%s: %s is there twice", g.Title, c.Name)
			cases[c.Name] = true
		}
		for _, c := range g.Claims {
			require.NotEmpty(t, c.Of)
			require.True(t, cases[c.Of], "%s: no case %q", g.Title, c.Of)
			require.True(t, cases[c.To], "%s: no case %q", g.Title, c.To)
		}
	}
}

func TestEveryControllerIsCompared(t *testing.T) {
	t.Parallel()
	cases := map[string]bool{}
	for _, c := range newPlan(programs{}, options{}).congestion().Cases {
		cases[c.Name] = true
	}
	for _, name := range cc.Names() {
		for _, kind := range []string{"echo", "upload", "upload, no offload", "engines"} {
			require.True(t, cases[kind+", "+name], "add %s to the group of congestion control", name)
		}
	}
}

func TestOptions(t *testing.T) {
	t.Parallel()
	o, err := parse([]string{"-quick", "-only", "1,3"})
	require.NoError(t, err)
	require.Equal(t, options{root: "..", runs: 1, duration: 500 * time.Millisecond, quick: true, only: []int{1, 3}}, o)
	o, err = parse([]string{"-dpdk"})
	require.NoError(t, err)
	require.True(t, o.dpdk)
	for _, args := range [][]string{{"-only", "one"}, {"-runs", "0"}, {"7"}} {
		_, err := parse(args)
		require.Error(t, err, args)
	}
}
