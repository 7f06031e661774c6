package main

import (
	"errors"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// goTerms are words of Go's, its parsers' and their types', which tell a user nothing.
var goTerms = []string{
	"strconv.", "invalid syntax", "value out of range", "time:", "pflag", "arg(s)", "unmarshal", "interface {", "*udp.", "int64", "nil",
}

func TestAWrongCommandLineIsToldInItsUsersTerms(t *testing.T) {
	t.Parallel()
	for line, reason := range map[string]string{
		"serv":                                `there is no command "serv" (did you mean "serve"?); there are`,
		"fly":                                 `there is no command "fly"; there are`,
		"version":                             `did you mean "--version"?`,
		"--verison":                           `there is no flag --verison (did you mean "--version"?)`,
		"serve --prot 1":                      "there is no flag --prot",
		"serve --lops 2":                      `there is no flag --lops (did you mean "--loops"?)`,
		"serve -x":                            "there is no flag -x",
		"serve ---":                           "bad flag syntax",
		"serve a b":                           `"b" is too much: give only one URL`,
		"demo x":                              `"x" is too much: demo takes flags only`,
		"sim":                                 "EXPERIMENT is missing: give one of incast,",
		"sim outcast":                         `there is no experiment "outcast": choose one of`,
		"sim loss --rate fast":                `--rate: "fast" is malformed: write a number`,
		"sim loss --rate NaN":                 "--rate is from 0.1 to 1000, not NaN",
		"sim loss --seed -1":                  `--seed: "-1" is malformed: write a whole number from 0`,
		"sim loss --cc swft":                  `--cc: there is no controller "swft" (did you mean "swift"?)`,
		"sim loss --clients 1 --duration 1ms": "--duration is from 5ms to 1m0s, not 1ms",
		"perf":                                "ADDR is missing: give the server's address, such as 127.0.0.1:31850",
		"perf a b":                            `"b" is too much`,
		"perf localhost":                      `"localhost" is not host:port`,
		"perf localhost:99999":                `"99999" is no port: write a number from 1 to 65535`,
		"perf localhost:nothing-like-it":      `"nothing-like-it" is no port`,
		"perf udp://127.0.0.1:1":              "is a URL: write the server's address, as in 127.0.0.1:1",
		"perf 127.0.0.1:1 --window x":         `--window: "x" is malformed: write a whole number`,
		"perf 127.0.0.1:1 --window 1.5":       `--window: "1.5" is malformed`,
		"perf 127.0.0.1:1 --window 99999999999999999999": "--window: 99999999999999999999 is too large",
		"perf 127.0.0.1:1 --window 10000000":             "--window is from 1 to 65536, not 10000000",
		"perf 127.0.0.1:1 --window -5":                   "--window is from 1 to 65536, not -5",
		"perf 127.0.0.1:1 --sessions 1000000":            "--sessions is from 1 to 65536",
		"perf 127.0.0.1:1 --duration 5":                  `--duration: "5" is malformed: write a number with its unit`,
		"perf 127.0.0.1:1 --duration -5s":                "--duration is from 1ns to 24h0m0s, not -5s",
		"perf 127.0.0.1:1 --warmup 1000000h":             "--warmup is from 0s to 24h0m0s",
		"perf 127.0.0.1:1 --duration":                    "--duration has no value: write a number with its unit",
		"perf 127.0.0.1:1 --call=maybe":                  `--call: "maybe" is malformed: write true or false`,
		"perf 127.0.0.1:1 --size 1e400":                  `--size: "1e400" is no size`,
		"perf 127.0.0.1:1 --size 8GiB":                   "--size is ",
		"perf 127.0.0.1:1 --size 64MiB --window 60000":   "takes 7680000 MiB of buffers, and 8192 MiB is the most",
		"perf 127.0.0.1:1 --fault rain=1":                "--fault: ",
		"ping 127.0.0.1:1 --interval 0s":                 "--interval is from 1ns",
		"ping 127.0.0.1:1 --timeout forever":             `--timeout: "forever" is malformed`,
		"serve --loops 100000":                           "--loops is from 1 to 256, not 100000",
		"serve --patience 1ms":                           "--patience is from 10ms to 1h0m0s, not 1ms",
		"serve --loops many":                             `--loops: "many" is malformed: write a whole number`,
		"serve --cpu x":                                  `--cpu: "x" is malformed`,
		"serve --poll lazy":                              "--poll: poll is \"lazy\"; use busy, adaptive or block",
		"-version":                                       `(did you mean "--version"?)`,
		"perf 127.0.0.1:1 -window 3":                     `(did you mean "--window"?)`,
		"demo --duration 0s":                             "--duration is from 1ms",
	} {
		text := refused(t, line)
		require.Contains(t, text, reason, line)
		require.Regexp(t, `\nSee 'peregrine( [a-z]+)? --help'\.$`, text)
		for _, term := range goTerms {
			require.NotContains(t, text, term, line)
		}
	}
}

func TestWhatFailsIsToldInItsUsersTerms(t *testing.T) {
	t.Parallel()
	missing := filepath.Join(t.TempDir(), "missing", "x.json")
	for line, reason := range map[string]string{
		"perf 127.0.0.1:1 --json " + missing:                   "--json: the result cannot be written",
		"ping 127.0.0.1:1 --json " + missing:                   "--json: the result cannot be written",
		"sim loss --json " + missing:                           "--json: the result cannot be written",
		"demo --json " + missing:                               "--json: the result cannot be written",
		"serve --json " + missing:                              "--json: the result cannot be written",
		"serve upd://127.0.0.1:0":                              `did you mean "udp"?`,
		"serve udp://127.0.0.1:0?recv=7":                       `did you mean "recv_buffer"?`,
		"serve --cc wift":                                      `did you mean "swift"?`,
		"serve --config missing.yaml":                          "no such file",
		"perf 127.0.0.1:1 --transport udp://127.0.0.1:0?mtu=x": `"x" is not a whole number`,
	} {
		text := refused(t, line)
		require.Contains(t, text, reason, line)
		require.NotContains(t, text, "--help", line)
		for _, term := range []string{"strconv.", "invalid syntax", "*udp."} {
			require.NotContains(t, text, term, line)
		}
	}
}

func TestExitCodesTellMisuseFromFailure(t *testing.T) {
	t.Parallel()
	for line, code := range map[string]int{
		"--version":                0,
		"serve --help":             0,
		"serv":                     2,
		"perf 127.0.0.1:1 --lops":  2,
		"serve carrier-pigeon://x": 1,
	} {
		_, _, err := output(t, strings.Fields(line)...)
		require.Equal(t, code, codeOf(err), line)
	}
}

// codeOf is what the program exited with.
func codeOf(err error) int {
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return exit.ExitCode()
	}
	return 0
}

func TestVersionSaysWhatTheProgramIs(t *testing.T) {
	t.Parallel()
	stdout, _, err := output(t, "--version")
	require.NoError(t, err)
	for _, part := range []string{"peregrine ", "revision ", "go1.", "protocol  1", "udp"} {
		require.Contains(t, stdout, part)
	}
}
