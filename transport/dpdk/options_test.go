package dpdk

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestAnOptionIsTheUsersIfHeGivesIt(t *testing.T) {
	t.Parallel()
	ours := [][]string{{"--no-telemetry"}, {"--lcores=0@(0)"}, {"-a", "0000:00:06.0"}, {"-m", "256"}, {"--file-prefix=us"}}
	for given, want := range map[string]string{
		"":                                "--no-telemetry --lcores=0@(0) -a 0000:00:06.0 -m 256 --file-prefix=us",
		"--file-prefix=you":               "--no-telemetry --lcores=0@(0) -a 0000:00:06.0 -m 256",
		"-l 0-3 --numa-mem=64":            "--no-telemetry -a 0000:00:06.0 --file-prefix=us",
		"-m64 -c3":                        "--no-telemetry -a 0000:00:06.0 --file-prefix=us",
		"--no-telemetry --socket-mem 1,1": "--lcores=0@(0) -a 0000:00:06.0 --file-prefix=us",
		"-a 0000:00:07.0":                 "--no-telemetry --lcores=0@(0) -a 0000:00:06.0 -m 256 --file-prefix=us", // a list
	} {
		require.Equal(t, want, strings.Join(without(ours, strings.Fields(given)), " "), "beside %q", given)
	}
}

func TestOptionsThatWouldEndTheProcessAreRefused(t *testing.T) {
	t.Parallel()
	lenient, strict := release{2411, 8}, release{2511, 4}
	for given, remedy := range map[string]string{
		"--nonsense":                            "has no option --nonsense: correct it",
		"--help":                                "has no option --help",
		"--version":                             "has no option --version",
		"-m64":                                  "has no option -m64: correct it; a value stands apart",
		"--lcores=0 -l 1":                       "-l is there twice: give it once",
		"--no-pci --no-pci":                     "--no-pci is there twice",
		"--no-huge=1":                           "--no-huge takes no value",
		"--iova-mode":                           "--iova-mode lacks its value",
		"va":                                    "is no option",
		"":                                      "",
		"--iova-mode=va -n 4 --no-pci --syslog": "",
		"-a 0000:00:06.0 -a 0000:00:07.0 --vdev=net_null0 --vdev net_null1 --huge-unlink=never": "",
	} {
		require.NoError(t, checkOptions(strings.Fields(given), lenient), given)
		err := checkOptions(strings.Fields(given), strict)
		if remedy == "" {
			require.NoError(t, err, given)
			continue
		}
		require.ErrorContains(t, err, `key "eal_args"`)
		require.ErrorContains(t, err, remedy)
	}
}
