package cc_test

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine/cc"
)

func TestControllersAreFoundByName(t *testing.T) {
	t.Parallel()
	require.Equal(t, []string{"auto", "cubic", "dctcp", "none", "swift", "timely"}, cc.Names())
	for _, name := range cc.Names() {
		require.NotNil(t, factory(t, name)(cc.Path{Datagram: 1200}))
	}
}

func TestAnUnknownControllerIsAnErrorThatListsTheKnown(t *testing.T) {
	t.Parallel()
	_, err := cc.Lookup("reno")
	require.ErrorIs(t, err, cc.ErrUnknown)
	require.ErrorContains(t, err, "auto, cubic, dctcp, none, swift, timely")
}

func TestAnAbsurdParameterIsAnErrorThatNamesItsKey(t *testing.T) {
	t.Parallel()
	for key, spoil := range map[string]struct {
		name string
		set  func(cfg any)
	}{
		"window":            {"none", func(c any) { c.(*cc.NoneConfig).Window = 0 }},
		"c":                 {"cubic", func(c any) { c.(*cc.CubicConfig).C = 0 }},
		"gain":              {"dctcp", func(c any) { c.(*cc.DCTCPConfig).Gain = 2 }},
		"max_window":        {"dctcp", func(c any) { c.(*cc.DCTCPConfig).MaxWindow = -1 }},
		"target_delay":      {"swift", func(c any) { c.(*cc.SwiftConfig).TargetDelay = 0 }},
		"base_rtt":          {"swift", func(c any) { c.(*cc.SwiftConfig).BaseRTT = -time.Second }},
		"flow_scaling":      {"swift", func(c any) { c.(*cc.SwiftConfig).FlowScaling = math.NaN() }},
		"min_window":        {"swift", func(c any) { c.(*cc.SwiftConfig).MinWindow = 0 }},
		"additive_increase": {"swift", func(c any) { c.(*cc.SwiftConfig).AdditiveIncrease = math.Inf(1) }},
		"beta":              {"timely", func(c any) { c.(*cc.TimelyConfig).Beta = 0 }},
		"min_rate":          {"timely", func(c any) { c.(*cc.TimelyConfig).MinRate = -1 }},
		"initial_window":    {"timely", func(c any) { c.(*cc.TimelyConfig).InitialWindow = 0 }},
	} {
		a, err := cc.Lookup(spoil.name)
		require.NoError(t, err)
		cfg := a.Config()
		spoil.set(cfg)
		_, err = a.New(cfg)
		var wrong *cc.ConfigError
		require.ErrorAs(t, err, &wrong, key)
		require.Equal(t, key, wrong.Key)
	}
}

func TestParametersOfAnotherControllerAreRefused(t *testing.T) {
	t.Parallel()
	a, err := cc.Lookup("swift")
	require.NoError(t, err)
	_, err = a.New(&cc.NoneConfig{Window: 1})
	require.ErrorContains(t, err, "*cc.SwiftConfig")
}
