package run

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// Pair is a server and its client. The client is given `--json FILE` and the
// server's address, and writes its result to that file.
type Pair struct {
	Server, Client Command
	// Between, if it has a program, is a relay: it is given the server's address, and
	// the client its own.
	Between Command
	// Beside, if it has a program, runs while the client does, and is given the server's
	// address.
	Beside Command
	// Limit is how long the client may take.
	Limit time.Duration
	// Clear, if there is one, removes what processes of a failed run may have left.
	Clear func() error
}

// Commands implements Runner.
func (p Pair) Commands() []string {
	if p.Between.Program != "" {
		return []string{p.Server.String(), p.Between.String(), p.Client.String()}
	}
	if p.Beside.Program != "" {
		return []string{p.Server.String(), p.Beside.String(), p.Client.String()}
	}
	return []string{p.Server.String(), p.Client.String()}
}

// Run implements Runner. A client fails that counted wrong or missing replies,
// or none at all.
func (p Pair) Run(ctx context.Context) (values map[string]float64, err error) {
	values, err = p.run(ctx)
	if err != nil && p.Clear != nil {
		err = errors.Join(err, p.Clear())
	}
	return values, err
}

func (p Pair) run(ctx context.Context) (values map[string]float64, err error) {
	s, err := start(p.Server)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.stop()) }()
	addr := s.addr
	if p.Between.Program != "" {
		b, err := start(p.Between, s.addr)
		if err != nil {
			return nil, err
		}
		defer func() { _ = b.stop() }() // the client says how it went
		addr = b.addr
	}

	if p.Beside.Program != "" {
		b, refused := start(p.Beside, s.addr)
		if refused != nil {
			return nil, refused
		}
		defer func() { err = errors.Join(err, b.stop()) }()
	}

	dir, err := os.MkdirTemp("", "peregrine-bench")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	result := filepath.Join(dir, "result.json")

	ctx, cancel := context.WithTimeout(ctx, p.Limit)
	defer cancel()
	program, args := p.Client.argv("--json", result, addr)
	client := exec.CommandContext(ctx, program, args...)
	var complaints tail
	client.Stderr = &complaints
	if err := client.Run(); err != nil {
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			err = fmt.Errorf("not done after %v", p.Limit)
		}
		return nil, complaints.explain("client", err)
	}
	text, err := os.ReadFile(result)
	if err != nil {
		return nil, err
	}
	values, err = numbers(text)
	if err != nil {
		return nil, err
	}
	if rate, ok := values["rate_rps"]; ok && rate == 0 {
		return nil, errors.New("client: no call was completed in the measured time")
	}
	derive(values)
	return values, nil
}

// numbers returns those members of a JSON object that are numbers.
func numbers(text []byte) (map[string]float64, error) {
	var all map[string]any
	if err := json.Unmarshal(text, &all); err != nil {
		return nil, fmt.Errorf("the client's result: %w", err)
	}
	values := map[string]float64{}
	for name, v := range all {
		if n, ok := v.(float64); ok {
			values[name] = n
		}
	}
	return values, nil
}

// derive adds what is compared but not told: allocations and system calls of both sides,
// and CPU time by what was moved, as a raw datagram and a large message have little in
// common but their bytes.
func derive(values map[string]float64) {
	values["both_allocs_per_rpc"] = values["allocs_per_rpc"] + values["server_allocs_per_rpc"]
	values["both_syscalls_per_rpc"] = values["syscalls_per_rpc"] + values["server_syscalls_per_rpc"]
	const bytesPerGigabit, kib = 1e9 / 8, 1 << 10
	if goodput := values["goodput_gbps"]; goodput > 0 {
		callsPerKiB := values["rate_rps"] / (goodput * bytesPerGigabit / kib)
		values["client_cpu_ns_per_kib"] = values["client_cpu_ns_per_rpc"] * callsPerKiB
		values["server_cpu_ns_per_kib"] = values["server_cpu_ns_per_rpc"] * callsPerKiB
	}
}
