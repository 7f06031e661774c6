package doctor

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	_ "github.com/peregrine-rpc/peregrine/transport/iouring"
	_ "github.com/peregrine-rpc/peregrine/transport/udp"
)

var captureFile = flag.String("capture", "", "write this host to a file in the form of testdata")

// Whatever the host is: its facts are read, and what is said of it is well-formed.
func TestThisHostIsExamined(t *testing.T) {
	t.Parallel()
	for _, asked := range []Asked{
		{},
		{CPUs: []int{0, 1, 8191}},
		{Interface: "lo", Backend: "udp"},
		{Interface: "lo", Backend: "xdp"},
		{Backend: "dpdk"},
	} {
		asked.Built = []string{"dpdk", "iouring", "udp", "xdp"}
		facts, err := Collect(os.DirFS("/"), HostProbes(), asked)
		require.NoError(t, err)
		require.NotEmpty(t, facts.CPU.Online)
		require.NotZero(t, facts.Host.Kernel.Major)
		require.NotEmpty(t, facts.Process.Allowed)

		d := Examine(facts)
		var text bytes.Buffer
		require.NoError(t, d.Print(&text))
		require.Contains(t, text.String(), "Linux "+facts.Host.Kernel.Text)
		for _, f := range d.Findings {
			require.Contains(t, Codes(), f.Code)
			require.NotEmpty(t, f.What)
			require.NotEmpty(t, f.Why)
		}
		_, err = json.Marshal(d)
		require.NoError(t, err)
	}
}

func TestAnInterfaceThatIsNotThereIsAnError(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"no-such-one", "../../..", "a/b", ".", "a-name-that-is-too-long-for-any"} {
		_, err := Collect(os.DirFS("/"), HostProbes(), Asked{Interface: name})
		require.ErrorContains(t, err, "there is no interface", name)
	}
	_, err := Collect(os.DirFS("/"), HostProbes(), Asked{PCI: "ffff:ff:1f.7"})
	require.ErrorContains(t, err, "there is no network device ffff:ff:1f.7")
}

func TestThisHostIsCaptured(t *testing.T) {
	if *captureFile == "" {
		t.Skip("to make a sample: go test -run Captured -capture FILE, and take personal detail out by hand")
	}
	capture(t, os.DirFS("/"), HostProbes(), Asked{Built: []string{"iouring", "udp", "xdp"}}, *captureFile)
}
