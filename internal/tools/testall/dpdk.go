package main

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"runtime"
	"slices"

	"github.com/peregrine-rpc/peregrine/internal/tools/steps"
)

// The tag dpdk changes the backend, and what the tool's tests of that name use.
const (
	backend = "./transport/dpdk/..."
	tool    = "./cmd/peregrine"
)

// debian is what their tests take: the library, what finds it, and what decodes their packets.
var debian = []string{"libdpdk-dev", "pkg-config", "tshark"}

// libdpdk returns a Skip where the library is missing.
func libdpdk() error {
	if runtime.GOOS != "linux" {
		return steps.Skip("DPDK needs Linux")
	}
	if exec.Command("pkg-config", "--atleast-version=22.11", "libdpdk").Run() != nil {
		return steps.Skip("libdpdk 22.11 or newer is not installed: apt-get install libdpdk-dev pkg-config")
	}
	return nil
}

// dpdk vets and tests what the tag changes.
func dpdk(log io.Writer, tests *results) error {
	if err := libdpdk(); err != nil {
		return err
	}
	vet := exec.Command("go", "vet", "-tags=dpdk", backend, tool)
	if err := run(log, vet, log); err != nil {
		return err
	}
	return testTagged(log, tests, "-cover")
}

func testTagged(log io.Writer, tests *results, flags ...string) error {
	flags = append(flags, "-tags=dpdk", "-short")
	return errors.Join(
		goTest(log, tests, ".", append(flags, backend)...),
		goTest(log, tests, ".", append(flags, "-run=DPDK", tool)...),
	)
}

// dpdkRace tests it with the race detector.
func dpdkRace(log io.Writer, tests *results) error {
	if err := errors.Join(libdpdk(), raceDetector()); err != nil {
		return err
	}
	return testTagged(log, tests, "-race")
}

// wouldInstall says whether to install what is missing: who requires DPDK, or is a CI machine, wants it, and root can.
func wouldInstall(required []string) bool {
	_, apt := exec.LookPath("apt-get")
	_, tshark := exec.LookPath("tshark")
	missing := libdpdk() != nil || tshark != nil
	wanted := slices.Contains(required, "dpdk") || os.Getenv("CI") != ""
	return missing && wanted && apt == nil && os.Geteuid() == 0
}

// install installs what is missing.
func install(log io.Writer) error {
	for _, args := range [][]string{
		{"update", "-qq"},
		append([]string{"install", "-qq", "--no-install-recommends"}, debian...),
	} {
		cmd := exec.Command("apt-get", args...)
		cmd.Env = append(cmd.Environ(), "DEBIAN_FRONTEND=noninteractive")
		if err := run(log, cmd, log); err != nil {
			return err
		}
	}
	return nil
}
