package conformance

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/peregrine-rpc/peregrine/core"
)

// killedKeepAlive is the silence after which a killed process is given up.
const killedKeepAlive = 500 * time.Millisecond

// processStories: a process that is killed says nothing, and is found out.
func processStories(tell tell, again rerun) {
	tell("CallsToAServerThatIsKilledFail", func(s *stage) {
		server := s.spawn(again, serverRole, netip.AddrPort{})
		client := s.start(Near, setup{Config: core.Config{KeepAlive: killedKeepAlive}})
		session := client.connect(server.addr)
		client.reaches(session)
		running := client.unanswered(session, 4)
		long := client.submit(session, core.Call{Method: ignore, Request: make([]byte, longestMessage)})
		client.reaches(session)
		server.kill()
		for _, f := range running {
			f.failsAs(core.Unavailable, true)
		}
		long.failsAs(core.Unavailable, true)
		client.idle()
		s.spawn(again, serverRole, server.local)
		client.reaches(session)
	})

	tell("AServerForgetsAClientThatIsKilled", func(s *stage) {
		service := s.serve(Far, setup{Config: core.Config{KeepAlive: killedKeepAlive}})
		client := s.spawn(again, clientRole, service.addr())
		service.holds(clientSessions * clientCalls)
		client.kill()
		service.gaveUp()
		service.forgotten()
	})
}

// role is what a copy of the test binary does.
type role string

const (
	serverRole role = "server" // listens at an address, or anywhere
	clientRole role = "client" // calls an address, by methods that do not answer

	clientSessions = 3
	clientCalls    = 4 // a session

	// peerTest is the subtest that runs in the copy, peerVariable holds its
	// orders: role and address. It announces where it listens behind peerReady.
	peerTest     = "PeerProcess"
	peerVariable = "PEREGRINE_CONFORMANCE_PEER"
	peerReady    = "conformance peer is at "
)

// rerun is the test that called RPC or Remote.
type rerun struct{ name string }

// pattern is the -test.run that leads to the same call, and there to peerTest
// only.
func (r rerun) pattern() string { return anchored(r.name + "/" + peerTest) }

// process is a copy of the test binary, as the other side.
type process struct {
	cmd   *exec.Cmd
	local netip.AddrPort // where it listens
	addr  netip.AddrPort // where that is reached
	ready chan string    // what it announced
	ended chan struct{}  // closed when it has
	said  bytes.Buffer   // valid once it has ended
}

// spawn starts a process and waits until it is ready. It is killed with the
// test, and ends by itself if this process does.
func (s *stage) spawn(again rerun, as role, addr netip.AddrPort) *process {
	s.Helper()
	p, err := again.start(fmt.Sprintf("%s %v", as, addr))
	if err != nil {
		s.Fatalf("a peer process does not start: %v", err)
	}
	s.Cleanup(p.kill)
	select {
	case at := <-p.ready:
		local, dial, _ := strings.Cut(at, " ")
		p.local, p.addr = netip.MustParseAddrPort(local), netip.MustParseAddrPort(dial)
	case <-p.ended:
		s.Fatalf("the peer process ended:\n%s", &p.said)
	case <-time.After(patience):
		p.kill()
		s.Fatalf("the peer process was not ready in %v:\n%s", patience, &p.said)
	}
	return p
}

// start runs the test binary again, with orders for what it is to do.
func (r rerun) start(orders string) (*process, error) {
	binary, err := os.Executable()
	if err != nil {
		return nil, err
	}
	p := &process{
		cmd:   exec.Command(binary, "-test.run="+r.pattern(), "-test.timeout=0"),
		ready: make(chan string, 1),
		ended: make(chan struct{}),
	}
	p.cmd.Env = append(p.cmd.Environ(), peerVariable+"="+orders)
	if _, err := p.cmd.StdinPipe(); err != nil { // closed by the end of either process
		return nil, err
	}
	stdout, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	p.cmd.Stderr = p.cmd.Stdout
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		defer close(p.ended)
		for lines := bufio.NewScanner(stdout); lines.Scan(); {
			if at, ok := strings.CutPrefix(lines.Text(), peerReady); ok {
				p.ready <- at
			}
			fmt.Fprintln(&p.said, lines.Text())
		}
		_ = p.cmd.Wait() // it was killed, or said why not
	}()
	return p, nil
}

// kill ends the process at once: on Unix, by SIGKILL.
func (p *process) kill() {
	_ = p.cmd.Process.Kill() // it may have ended
	<-p.ended
}

// actAsPeer does what a copy of the test binary is for, if this is one.
func actAsPeer(t *testing.T, f Factory) bool {
	orders, ok := os.LookupEnv(peerVariable)
	if !ok {
		return false
	}
	t.Run(peerTest, func(t *testing.T) {
		s := newStage(t, f, 0)
		var as role
		var text string
		fmt.Sscan(orders, &as, &text)
		var addr netip.AddrPort // stays invalid for "anywhere"
		_ = addr.UnmarshalText([]byte(text))
		var h *host
		switch as {
		case serverRole:
			h = s.serve(Far, setup{addr: addr, Config: core.Config{KeepAlive: killedKeepAlive}}).host
		case clientRole:
			h = s.start(Near, setup{Config: core.Config{KeepAlive: killedKeepAlive}})
			h.insists(addr)
		}
		fmt.Printf("\n%s%v %v\n", peerReady, h.tr.LocalAddr(), h.addr())
		_, _ = io.Copy(io.Discard, os.Stdin) // until the other process ends
	})
	return true
}

// insists makes calls to addr that are not answered, and makes those that fail
// again.
func (h *host) insists(addr netip.AddrPort) {
	for range clientSessions {
		session := h.connect(addr)
		for range clientCalls {
			c := &core.Call{Method: ignore, Request: make([]byte, 5000)}
			c.Done = func(c *core.Call) { session.Submit(c) }
			h.do(func() { session.Submit(c) })
		}
	}
}
