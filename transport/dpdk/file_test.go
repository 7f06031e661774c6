//go:build dpdk

package dpdk

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine"
)

func loaded(t *testing.T, text string) (*peregrine.File, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "server.yaml")
	require.NoError(t, os.WriteFile(path, []byte(text), 0o644))
	return peregrine.LoadConfig(path)
}

// A file's device is held against the library like a URL's.
func TestAFileIsToldTheRightNameOfADevicesArgument(t *testing.T) {
	ena(nil).with(t, func(t *testing.T) {
		for text, remedy := range map[string]string{
			`transport: {dpdk: {device: "` + nicAddress + `,miss_tx_to=5", ip: [10.0.1.7/24]}}`: "write miss_txc_to",
			`transport: {dpdk: {device: "net_null0,sise=64", ip: [10.0.1.7/24]}}`:               "write size",
			`transport: "dpdk://net_null0,sise=64?ip=10.0.1.7/24"`:                              "write size",
		} {
			f, err := loaded(t, text)
			require.NoError(t, err, "it is the library that knows the names")
			_, err = f.Listen()
			require.ErrorContains(t, err, `key "device"`)
			require.ErrorContains(t, err, remedy)
		}
		_, err := loaded(t, `transport: {dpdk: {devise: net_null0}}`)
		require.ErrorContains(t, err, "device", "one of our own keys")
	})
}

func TestTheFilesOfTheDocumentsAreOnesThatAreTaken(t *testing.T) {
	t.Parallel()
	seen := 0
	for _, page := range pages {
		for _, block := range regexp.MustCompile("(?ms)^```yaml\n(.*?)^```$").FindAllStringSubmatch(read(t, page), -1) {
			seen++
			_, err := loaded(t, block[1])
			require.NoError(t, err, "%s:\n%s", page, block[1])
		}
	}
	require.NotZero(t, seen)
}
