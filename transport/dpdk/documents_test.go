package dpdk

import (
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine/transport"
)

// The documents' commands are run by make test-dpdk-versions as far as they can be; here it is held that they say how
// far, and that what they give to peregrine is what it takes.

var (
	pages     = []string{"../../docs/dpdk.md", "../../docs/aws.md", "../../docs/mellanox.md"}
	codeBlock = regexp.MustCompile("(?m)^( *)```sh\n((?s:.*?))^ *```$")
	// beyond begins what needs a card, a second host or an account.
	beyond = regexp.MustCompile(`(?m)^\s*# With [^\n]+:$`)
	// needing are commands that do.
	needing  = regexp.MustCompile(`(?m)^[^#\n]*(\$PCI|\$IF|\$URL|^IF=|^\s*aws |dpdk-devbind|sudo modprobe|systemctl reboot|hugepages-2048kB|sysctl --|/sys/class/infiniband)`)
	ourURL   = regexp.MustCompile("dpdk://[^\\s\"'`]+")
	heredoc  = regexp.MustCompile(`(?s)<<'END'\n.*?\nEND\n`)
	unfolded = strings.NewReplacer("$PCI", "0000:00:06.0", "${URL#*\\?}", "ip=10.0.1.7/24", "$IP", "10.0.1.7", "${NET#*/}", "24", "$GW", "10.0.1.1", "\\", "")
)

func read(t *testing.T, page string) string {
	t.Helper()
	text, err := os.ReadFile(page)
	require.NoError(t, err)
	return string(text)
}

func TestABlockOfTheDocumentsSaysWhereItNeedsMoreThanAMachine(t *testing.T) {
	t.Parallel()
	for _, page := range pages {
		blocks := codeBlock.FindAllStringSubmatch(read(t, page), -1)
		require.Greater(t, len(blocks), 4, page)
		for _, b := range blocks {
			runs := b[2]
			if end := beyond.FindStringIndex(runs); end != nil {
				runs = runs[:end[0]]
			}
			needs := needing.FindString(heredoc.ReplaceAllString(runs, "\n"))
			require.Empty(t, needs, "%s: put a line \"# With …:\" before it in\n%s", page, b[2])
		}
	}
}

func TestTheBlocksOfTheDocumentsAreShell(t *testing.T) {
	t.Parallel()
	bash, err := exec.LookPath("bash")
	if err != nil {
		t.Skip("bash is not installed")
	}
	for _, page := range pages {
		for _, b := range codeBlock.FindAllStringSubmatch(read(t, page), -1) {
			out, err := exec.Command(bash, "-n", "-c", b[2]).CombinedOutput()
			require.NoError(t, err, "%s: %s\n%s", page, out, b[2])
		}
	}
}

// Each URL of the documents opens with the release that it is about, and so with one of these.
func TestTheURLsOfTheDocumentsAreOnesThatTheBackendTakes(t *testing.T) {
	t.Parallel()
	releases := []release{{2211, 11}, {2411, 8}, {2511, 4}}
	seen := 0
	for _, page := range append(pages, "../../README.md", "../../docs/choosing.md", "doc.go") {
		for _, url := range ourURL.FindAllString(read(t, page), -1) {
			url = unfolded.Replace(url)
			if strings.ContainsAny(url, "…$)") || !strings.Contains(url, "?") {
				continue // it stands for any
			}
			seen++
			_, cfg, err := transport.ParseURL(url)
			require.NoError(t, err, "%s: %s", page, url)
			require.NoError(t, cfg.(*Config).Validate(), "%s: %s", page, url)
			d, err := parseDevice(cfg.(*Config).Device)
			require.NoError(t, err)
			require.True(t, taken(d, releases), "%s: no release takes %s", page, url)
		}
	}
	require.Greater(t, seen, 10)
}

// taken says whether a release takes a device's arguments, of the card whose page it is on.
func taken(d device, releases []release) bool {
	drivers := []string{driverOf(d.name)}
	if d.kind == pciDevice {
		drivers = []string{"net_ena", "mlx5_pci"}
	}
	for _, r := range releases {
		for _, driver := range drivers {
			if checkParameters(driver, d, r) == nil {
				return true
			}
		}
	}
	return false
}

func TestTheArgumentsThatTheDocumentsNameExist(t *testing.T) {
	t.Parallel()
	for page, driver := range map[string]string{"../../docs/aws.md": "net_ena", "../../docs/mellanox.md": "mlx5_pci"} {
		known := map[string]bool{}
		for _, p := range parameters[driver] {
			known[p.name] = true
		}
		for _, m := range regexp.MustCompile("`([a-z0-9_]+)=[0-9]+`").FindAllStringSubmatch(read(t, page), -1) {
			_, cfg, err := transport.ParseURL("dpdk://net_null0?ip=10.0.1.7/24&" + m[1] + "=1280")
			ours := err == nil && cfg != nil
			if err != nil && !strings.Contains(err.Error(), "unknown") {
				ours = true // a key of ours that takes another value
			}
			require.True(t, known[m[1]] || ours || strings.ToUpper(m[1]) == m[1], "%s: neither the driver nor we have %s", page, m[1])
		}
	}
}
