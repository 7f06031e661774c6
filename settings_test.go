package peregrine_test

import (
	"context"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine"
	"github.com/peregrine-rpc/peregrine/core"
	"github.com/peregrine-rpc/peregrine/transport"
	"github.com/peregrine-rpc/peregrine/transport/mem"
)

// keysOfErrors lists the keys that an error complains of.
func keysOfErrors(err error) (keys []string) {
	if setting, ok := err.(*peregrine.ConfigError); ok {
		return []string{setting.Key}
	}
	switch wrapped := err.(type) {
	case interface{ Unwrap() error }:
		return keysOfErrors(wrapped.Unwrap())
	case interface{ Unwrap() []error }:
		for _, err := range wrapped.Unwrap() {
			keys = append(keys, keysOfErrors(err)...)
		}
	}
	return keys
}

func nothing(peregrine.Request) {}

func inMemory(int, int) (transport.Transport, error) {
	tr, _ := mem.Pair()
	return tr, nil
}

func TestAnOptionThatCannotBeObeyedIsRefusedByName(t *testing.T) {
	t.Parallel()
	for name, refused := range map[string]struct {
		key  string
		opts []peregrine.Option
	}{
		"a CPU below 0":            {"cpus", []peregrine.Option{peregrine.WithCPU(-7)}},
		"a CPU that is not there":  {"cpus", []peregrine.Option{peregrine.WithCPU(5000)}},
		"fewer CPUs than loops":    {"cpus", []peregrine.Option{peregrine.WithLoops(2), peregrine.WithCPU(0)}},
		"more CPUs than loops":     {"cpus", []peregrine.Option{peregrine.WithCPU(0, 0)}},
		"no such policy":           {"poll", []peregrine.Option{peregrine.WithPoll(99)}},
		"a policy below 0":         {"poll", []peregrine.Option{peregrine.WithPoll(-1)}},
		"no loops":                 {"loops", []peregrine.Option{peregrine.WithLoops(0)}},
		"more loops than queues":   {"loops", []peregrine.Option{peregrine.WithLoops(100_000)}},
		"a fault above 1":          {"loss", []peregrine.Option{peregrine.WithFault("loss=2")}},
		"no such controller":       {"cc.name", []peregrine.Option{peregrine.WithCongestionControl("reno")}},
		"no controller":            {"cc.name", []peregrine.Option{peregrine.WithCongestionControl("")}},
		"a controller's parameter": {"target_delay", []peregrine.Option{peregrine.WithCongestionControl("{name: swift, target_delay: -1s}")}},
		"an unknown parameter":     {"cc.target_delai", []peregrine.Option{peregrine.WithCongestionControl("{name: swift, target_delai: 1s}")}},
		"an engine's limit":        {"credits", []peregrine.Option{peregrine.WithConfig(peregrine.Config{Credits: 1 << 20})}},
		"the endpoint's own hook": {"Misrouted", []peregrine.Option{
			peregrine.WithConfig(peregrine.Config{Misrouted: func(int, *transport.RxPacket) {}})}},
		"the endpoint's other hook": {"Misreported", []peregrine.Option{
			peregrine.WithConfig(peregrine.Config{Misreported: func(*transport.Unreachable) {}})}},
		"no handler":               {"handler", []peregrine.Option{peregrine.WithHandler(1, nil)}},
		"two handlers of a method": {"handler", []peregrine.Option{peregrine.WithHandler(1, nothing), peregrine.WithHandler(1, nothing)}},
		"a URL beside Listen's":    {"transport", []peregrine.Option{peregrine.WithTransport("udp://127.0.0.1:0")}},
		"transports beside a URL":  {"transport", []peregrine.Option{peregrine.WithTransports(inMemory)}},
		"transports from nowhere":  {"transport", []peregrine.Option{peregrine.WithTransports(nil)}},
		"no interceptor":           {"interceptor", []peregrine.Option{peregrine.WithCallInterceptor(nil)}},
		"an interceptor that makes none": {"interceptor", []peregrine.Option{
			peregrine.WithCallInterceptor(func(peregrine.CallFunc) peregrine.CallFunc { return nil })}},
		"no resolver": {"resolver", []peregrine.Option{peregrine.WithResolver(nil)}},
		"no option":   {"option", []peregrine.Option{nil}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e, err := peregrine.Listen("udp://127.0.0.1:0", refused.opts...)
			if err == nil {
				require.NoError(t, e.Close())
			}
			require.Equal(t, []string{refused.key}, keysOfErrors(err), "%v", err)
		})
	}
}

func TestDialRefusesASecondSourceOfTransports(t *testing.T) {
	t.Parallel()
	_, err := peregrine.Dial(context.Background(), "127.0.0.1:9",
		peregrine.WithTransport("udp://127.0.0.1:0"), peregrine.WithTransports(inMemory))
	require.Equal(t, []string{"transport"}, keysOfErrors(err), "%v", err)
}

func TestTransportsThatAreNoneAreRefused(t *testing.T) {
	t.Parallel()
	_, err := peregrine.Listen("", peregrine.WithTransports(func(int, int) (transport.Transport, error) { return nil, nil }))
	require.Equal(t, []string{"transport"}, keysOfErrors(err), "%v", err)
}

func TestAllBadSettingsAreReportedTogether(t *testing.T) {
	t.Parallel()
	bad := []peregrine.Option{
		peregrine.WithPoll(99), peregrine.WithFault("loss=2"), peregrine.WithHandler(1, nil),
		peregrine.WithConfig(peregrine.Config{Slots: -1, Queue: -1}),
	}
	keys := []string{"poll", "loss", "handler", "slots", "queue", "mtu"}
	_, err := peregrine.Listen("udp://127.0.0.1:0?mtu=1", bad...)
	require.ElementsMatch(t, keys, keysOfErrors(err), "%v", err)
	_, err = peregrine.Dial(context.Background(), "127.0.0.1:9", append(bad, peregrine.WithTransport("udp://127.0.0.1:0?mtu=1"))...)
	require.ElementsMatch(t, keys, keysOfErrors(err), "%v", err)

	_, err = load(t, "transport: udp://127.0.0.1:0?mtu=1\nfault: loss=2\nloops: 0\ncpus: [-7, 1]\nengine: {slots: -1, queue: -1}\n")
	require.ElementsMatch(t, []string{"mtu", "loss", "loops", "cpus", "cpus", "slots", "queue"}, keysOfErrors(err), "%v", err)
}

func TestEventsOfTheUserAreToldBesideTheLog(t *testing.T) {
	t.Parallel()
	told := make(chan core.Event, 4)
	server := serve(t, peregrine.WithConfig(peregrine.Config{Events: func(e core.Event) { told <- e }}))
	s := connect(t, server)
	require.Equal(t, core.PeerConnected, (<-told).Kind)
	require.NoError(t, s.Close())
	require.Equal(t, core.PeerClosed, (<-told).Kind)
}

func TestAFileWithACPUThatIsNotThereIsRefused(t *testing.T) {
	t.Parallel()
	f, err := load(t, "transport: udp://127.0.0.1:0\ncpus: [5000]\n")
	require.NoError(t, err, "it may be for another host")
	_, err = f.Listen()
	require.Equal(t, []string{"cpus"}, keysOfErrors(err), "%v", err)
}

func TestAFileNamesItsTransportAlone(t *testing.T) {
	t.Parallel()
	f, err := load(t, "transport: udp://127.0.0.1:0\n")
	require.NoError(t, err)
	for _, opt := range []peregrine.Option{peregrine.WithTransport("udp://127.0.0.1:0"), peregrine.WithTransports(inMemory)} {
		_, err = f.Listen(opt)
		require.Equal(t, []string{"transport"}, keysOfErrors(err), "%v", err)
	}
	_, err = new(peregrine.File).Listen()
	require.Equal(t, []string{"transport", "loops"}, keysOfErrors(err), "%v", err)
}

func TestWhatIsOutOfRangeInAFileIsNamed(t *testing.T) {
	t.Parallel()
	for text, key := range map[string]string{
		"lops: 2":                      "lops",
		"poll: lazy":                   "poll",
		"engine: {slots: -1}":          "slots",
		"engine: {keep_alive: 1ns}":    "keep_alive",
		"cc: {name: reno}":             "cc.name",
		"cc: {name: timely, alpha: 7}": "alpha",
		"cc: {name: swift, alfa: 1}":   "cc.alfa",
		"fault: loss=x":                "loss",
		"loops: 0":                     "loops",
		"loops: 257":                   "loops",
		"cpus: [0, 1]":                 "cpus",
		"cpus: [-1]":                   "cpus",
	} {
		_, err := load(t, "transport: udp://127.0.0.1:0\n"+text)
		require.Equal(t, []string{key}, keysOfErrors(err), "%s: %v", text, err)
	}
	for text, key := range map[string]string{
		"loops: 1":                      "transport",
		"transport: {tcp: {}}":          "transport",
		"transport: {udp: {adress: x}}": "adress",
		"transport: {udp: {mtu: 9}}":    "mtu",
	} {
		_, err := load(t, text)
		require.Equal(t, []string{key}, keysOfErrors(err), "%s: %v", text, err)
	}
	_, err := load(t, "transport: rubbish")
	require.ErrorContains(t, err, "not a transport URL")
}

func TestAllUnknownKeysOfAFileAreReported(t *testing.T) {
	t.Parallel()
	_, err := load(t, "transport: {udp: {adress: x, muu: 7}}\nlops: 2\nengine: {slost: 1, queu: 2}\n")
	require.ElementsMatch(t, []string{"adress", "muu", "lops", "engine.slost", "engine.queu"}, keysOfErrors(err), "%v", err)
	var setting *peregrine.ConfigError
	require.ErrorAs(t, err, &setting)
}

// Neither a key that is unknown, nor a value that cannot be read, nor a document
// too many hides what else is wrong, or is the cause of another complaint.
func TestWhatCannotBeReadInAFileHidesNothingElse(t *testing.T) {
	t.Parallel()
	for text, keys := range map[string][]string{
		"transport: {udp: {recv_buffer: -1, mtu: 5}}\ncc: {name: swft}\nloops: 0\n": {"recv_buffer", "mtu", "cc.name", "loops"},
		"transport: {udp: {adress: x, mtu: 5}}\nengine: {slots: -1, queue: x}\n":    {"adress", "mtu", "slots", "engine.queue"},
		"transport: {udq: {}}\nfault: loss=2\n":                                     {"transport", "loss"},
		"transport: 7\npoll: 7\nloops: 300\n":                                       {"transport", "poll", "loops"},
		"transport: {auto: {}}\nloops: 300\n":                                       {"transport", "loops"},
		"transport: udp://:0\nloops: two\ncpus: [0, 1]\nengine: {slots: -1}\n":      {"loops", "slots"},
		"transport: udp://:0\nloops: 4\ncpus: [0, x, y, -1]\nengine: {slots: -1}\n": {"cpus[1]", "cpus[2]", "cpus", "slots"},
		"transport: udp://:0\ncc: {name: timely, alpha: 7, betta: 1}\n":             {"cc.betta", "alpha"},
		"transport: udp://:0?mtu=1\nloops: 0\nlops: 7\n---\nloops: 2\n":             {"mtu", "loops", "lops"},
	} {
		_, err := load(t, text)
		require.ElementsMatch(t, keys, keysOfErrors(err), "%s: %v", text, err)
		if strings.Contains(text, "---") {
			require.ErrorContains(t, err, "a second document")
		}
	}
}
