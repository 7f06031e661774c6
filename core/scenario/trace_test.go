package scenario_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine/core"
	"github.com/peregrine-rpc/peregrine/transport/sim"
)

var rewrite = flag.Bool("rewrite", false, "write the outputs in testdata anew")

// TestTraces runs the scripts in testdata. A script is blocks of commands, each
// followed by ---- and what it makes happen, up to an empty line. Every datagram
// takes 10 us from host to host, and nothing waits for anything, so the times,
// in milliseconds, are the engine's own. See [trace.command] for the commands.
func TestTraces(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/*.txt")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			t.Parallel()
			script, err := os.ReadFile(file)
			require.NoError(t, err)
			got := newTrace(t).run(string(script))
			if *rewrite {
				require.NoError(t, os.WriteFile(file, []byte(got), 0o644))
				return
			}
			require.Equal(t, string(script), got, "to accept that: go test ./core/scenario -run Trace -rewrite")
		})
	}
}

// trace is a world that writes down what happens in it.
type trace struct {
	*world
	hosts    map[string]*node
	session  *session // the one opened last
	out      strings.Builder
	quiet    bool
	mtu      int
	cut      bool
	losing   func(data []byte) bool
	losesOf  string
	losesFor int
}

func newTrace(t *testing.T) *trace {
	tr := &trace{world: newWorld(t, 1), hosts: map[string]*node{}}
	tr.cable = sim.LinkConfig{Delay: 5 * time.Microsecond}
	tr.note = func(format string, args ...any) {
		if !tr.quiet {
			fmt.Fprintf(&tr.out, "%8.3f %s\n", float64(tr.Now()-time.Second)/1e6, fmt.Sprintf(format, args...))
		}
	}
	return tr
}

// run runs a script and returns it with what happened for its outputs.
func (tr *trace) run(script string) string {
	var result strings.Builder
	skipping := false // a former output
	for i, line := range strings.Split(strings.TrimRight(script, "\n"), "\n") {
		switch {
		case line == "----":
			result.WriteString("----\n" + tr.out.String())
			tr.out.Reset()
			skipping = true
			continue
		case skipping && line != "":
			continue
		case line != "" && line[0] != '#':
			require.NoError(tr.t, tr.command(strings.Fields(line)), "line %d: %s", i+1, line)
		}
		skipping = false
		result.WriteString(line + "\n")
	}
	return result.String()
}

// command does one of
//
//	host NAME [slots=N] [keepalive=D] [mtu=N]  adds a host that is server and client
//	connect FROM TO                            opens a session, which later commands use
//	call BYTES [reply=N] [times=N] [timeout=D] [hold]
//	cancel CALL                                by number, from 0
//	answer HOST                                replies to what it holds
//	close                                      closes the session
//	shutdown, kill, start HOST                 its process: in order, without a word, again
//	lose HOST WHAT [N]                         the next N that it sends of a type or kind
//	cut, heal                                  the path between all hosts
//	path MTU                                   of it
//	run D, skip D                              let time pass; skip without writing it down
func (tr *trace) command(words []string) error {
	args := map[string]string{}
	var plain []string
	for _, word := range words[1:] {
		if key, value, ok := strings.Cut(word, "="); ok {
			args[key] = value
		} else {
			plain = append(plain, word)
		}
	}
	a := &arguments{plain: plain, named: args}
	switch words[0] {
	case "host":
		tr.addHost(a.word(), a)
	case "connect":
		tr.session = tr.host(a).dial(tr.host(a))
	case "call":
		j := job{size: a.number(), reply: a.option("reply", 0), timeout: a.duration("timeout"), hold: a.flag("hold")}
		tr.session.submits(a.option("times", 1), j)
	case "cancel":
		tr.calls[a.number()].cancel()
	case "answer":
		tr.host(a).answer()
	case "close":
		tr.session.Close()
		tr.session.node.host.Kick()
	case "shutdown":
		a.fail(tr.host(a).Close())
	case "kill":
		tr.host(a).kill()
	case "start":
		tr.host(a).start()
	case "lose":
		tr.losesOf, tr.losing, tr.losesFor = a.word(), a.which(), a.rest(1)
	case "cut":
		tr.cut = true
	case "heal":
		tr.cut = false
	case "path":
		tr.mtu = a.number()
	case "run", "skip":
		tr.quiet = words[0] == "skip"
		tr.Run(a.time())
		tr.quiet = false
	default:
		return fmt.Errorf("no such command")
	}
	return a.err
}

func (tr *trace) addHost(name string, a *arguments) {
	if tr.cable.MTU = a.option("mtu", 1500); tr.mtu == 0 {
		tr.mtu = tr.cable.MTU
	}
	cfg := core.Config{Slots: a.option("slots", 0), KeepAlive: a.duration("keepalive")}
	cfg.Events = func(e core.Event) {
		what := []string{"", "is connected", "loses its peer", "is told goodbye"}[e.Kind]
		if e.Reason != "" {
			what += ": " + e.Reason
		}
		tr.note("%s %s", name, what)
	}
	n := tr.add(name, cfg)
	tr.hosts[name] = n
	n.out.Intercept(func(p *sim.Packet) sim.Verdict {
		fate := ""
		to := tr.nodes[p.To.Addr().As4()[3]-1]
		switch {
		case tr.cut || tr.loses(name, p.Data):
			fate = " LOST"
		case len(p.Data)+28 > tr.mtu:
			fate = " TOO LARGE"
		}
		tr.note("%s>%s %dB %s%s", name, to.host.Name(), len(p.Data), describe(p.Data), fate)
		return sim.Verdict{Drop: fate != ""}
	})
}

// loses says whether a datagram is one that the script loses.
func (tr *trace) loses(from string, data []byte) bool {
	if tr.losesFor == 0 || tr.losesOf != from || !tr.losing(data) {
		return false
	}
	tr.losesFor--
	return true
}

func (tr *trace) host(a *arguments) *node {
	name := a.word()
	require.Contains(tr.t, tr.hosts, name, "no such host")
	return tr.hosts[name]
}

// arguments are those of one command. The first mistake is kept.
type arguments struct {
	plain []string
	named map[string]string
	err   error
}

func (a *arguments) fail(err error) {
	if a.err == nil {
		a.err = err
	}
}

func (a *arguments) word() string {
	if len(a.plain) == 0 {
		a.fail(fmt.Errorf("an argument is missing"))
		return ""
	}
	word := a.plain[0]
	a.plain = a.plain[1:]
	return word
}

func (a *arguments) number() int {
	n, err := strconv.Atoi(a.word())
	a.fail(err)
	return n
}

// rest is the last argument, if there is one more.
func (a *arguments) rest(fallback int) int {
	if len(a.plain) == 0 {
		return fallback
	}
	return a.number()
}

func (a *arguments) time() time.Duration {
	d, err := time.ParseDuration(a.word())
	a.fail(err)
	return d
}

func (a *arguments) option(key string, fallback int) int {
	value, ok := a.named[key]
	if !ok {
		return fallback
	}
	n, err := strconv.Atoi(value)
	a.fail(err)
	return n
}

func (a *arguments) duration(key string) time.Duration {
	value, ok := a.named[key]
	if !ok {
		return 0
	}
	d, err := time.ParseDuration(value)
	a.fail(err)
	return d
}

func (a *arguments) flag(word string) bool {
	return len(a.plain) > 0 && a.word() == word
}

// which is a type of datagrams, or a kind of messages in them.
func (a *arguments) which() func(data []byte) bool {
	word := a.word()
	if kind, ok := kindNames[word]; ok {
		return func(data []byte) bool { return carries(data, kind) }
	}
	t, ok := typeNames[word]
	if !ok {
		a.fail(fmt.Errorf("%q is neither a type nor a kind", word))
	}
	return func(data []byte) bool { return is(data, t) }
}
