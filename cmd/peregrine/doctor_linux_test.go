package main

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine/cmd/peregrine/internal/doctor"
)

// examined runs doctor on this host, which may have problems: that is no matter of
// ours.
func examined(t *testing.T, args ...string) (stdout string) {
	t.Helper()
	stdout, stderr, err := output(t, append([]string{"doctor"}, args...)...)
	require.Contains(t, []int{0, exitAiling}, codeOf(err), stderr)
	return stdout
}

func TestDoctorExaminesThisHost(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "doctor.json")
	stdout := examined(t, "--json", path)
	require.Contains(t, stdout, "Linux ")
	require.Regexp(t, `\d+ problems?, \d+ pieces? of advice, \d+ notes?\.`, stdout)
	require.NotContains(t, stdout, "\x1b")
	result := readJSON(t, path)
	require.NotEmpty(t, result["facts"])
	require.Len(t, result["backends"], 4)
	for _, f := range result["findings"].([]any) {
		finding := f.(map[string]any)
		require.Contains(t, doctor.Codes(), finding["code"])
		require.Contains(t, []any{"problem", "advice", "note"}, finding["level"])
		require.NotEmpty(t, finding["what"])
	}
}

// The loopback is no Ethernet interface, whatever the host.
func TestDoctorSaysByItsStatusThatThereIsAProblem(t *testing.T) {
	t.Parallel()
	stdout, stderr, err := output(t, "doctor", "xdp://lo")
	require.Equal(t, exitAiling, codeOf(err), stderr)
	require.Contains(t, stdout, "xdp-interface")
	require.Contains(t, stderr, "found: see above, and docs/doctor.md")
	require.NotContains(t, stdout, "iouring")
}

func TestDoctorMeasures(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "doctor.json")
	stdout := examined(t, "udp://127.0.0.1:0", "--measure", "--duration", "200ms", "--json", path)
	require.Regexp(t, `(?m)^cache line, clock, timer, kernel +done$`, stdout)
	require.Regexp(t, `(?m)^floor and calls over udp +done$`, stdout)
	require.NotContains(t, stdout, "\x1b")
	measured := readJSON(t, path)["facts"].(map[string]any)["measured"].(map[string]any)
	require.Positive(t, measured["system_call_ns"])
	require.Positive(t, measured["clock_ns"])
	floors := measured["floors"].([]any)
	require.Len(t, floors, 1)
	for _, figure := range []string{"raw_p50_us", "p50_us", "raw_rate", "rate"} {
		require.Positive(t, floors[0].(map[string]any)[figure], figure)
	}
}

// Nobody answers here, so nothing is changed.
func TestDoctorChangesNothingThatIsNotAnswered(t *testing.T) {
	t.Parallel()
	stdout := examined(t, "--apply")
	require.NotContains(t, stdout, "changed, until")
	require.Regexp(t, `change it\? \[y/N\] left|There is nothing to change`, stdout)
}

func TestDoctorSaysWhatIsNotThere(t *testing.T) {
	t.Parallel()
	for line, reason := range map[string]string{
		"no-such":      `there is no interface "no-such": there are `,
		"ffff:ff:1f.7": "there is no network device ffff:ff:1f.7 on the PCI bus",
	} {
		_, stderr, err := output(t, "doctor", line)
		require.Equal(t, 1, codeOf(err), line)
		require.Contains(t, stderr, reason)
	}
	for argument, reason := range map[string]string{
		"upd://127.0.0.1:0":        `did you mean "udp"?`,
		"udp://127.0.0.1:0?recv=7": `did you mean "recv_buffer"?`,
		"mem://here":               `"mem" is not in this program`,
		"--yes":                    "--yes is for --apply",
		"--cpu=-1":                 "--cpu is from 0",
	} {
		_, stderr, err := output(t, "doctor", argument)
		require.Equal(t, 2, codeOf(err), argument)
		require.Contains(t, stderr, reason)
	}
}

func TestWhatDoctorIsAskedAbout(t *testing.T) {
	t.Parallel()
	for args, want := range map[string]doctor.Asked{
		"eth1":                  {Interface: "eth1"},
		"00:06.0":               {PCI: "0000:00:06.0"},
		"0000:00:06.0":          {PCI: "0000:00:06.0"},
		"xdp://eth1?port=31850": {Backend: "xdp", Interface: "eth1"},
		"udp://0.0.0.0:31850?recv_buffer=16777216":           {Backend: "udp", RecvBuffer: 16 << 20, SendBuffer: 4 << 20},
		"iouring://127.0.0.1:0":                              {Backend: "iouring", Interface: "lo", RecvBuffer: 8 << 20, SendBuffer: 4 << 20},
		"auto://127.0.0.1:0":                                 {Interface: "lo"},
		"dpdk://00:06.0?ip=10.0.1.7/24":                      {Backend: "dpdk", PCI: "0000:00:06.0"},
		"dpdk://eth1,x=1?ip=10.0.1.7/24":                     {Backend: "dpdk", Interface: "eth1"},
		"dpdk://net_vhost0,iface=/run/p.sock?ip=10.0.1.7/24": {Backend: "dpdk"},
	} {
		d := doctorCommand{cpus: []int{3}, duration: 1e9}
		asked, err := d.ask([]string{args})
		require.NoError(t, err, args)
		want.CPUs, want.Built = []int{3}, backends()
		require.Equal(t, want, asked, args)
	}
}
