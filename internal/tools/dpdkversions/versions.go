package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"

	"github.com/peregrine-rpc/peregrine/internal/tools/debian"
)

// everyTest runs the backend's tests in a root that has the library, with this host's Go.
func everyTest(log io.Writer, root string) (found string, err error) {
	return tested(log, root, []string{"-test.short"},
		"TestConformanceBetweenProcesses", "TestConformanceOverMemif", "TestAKilledPeerIsRecoveredFromOverVirtio")
}

// started are the tests that start the library, and hold the table of versions against it.
const started = "TheLibrary|TheArguments|EALRefuses|TheUsersOptions|TwoVirtualDevices|OpenedAgain|ErrorsOfEAL|OfACard|OverVerbs"

// newest compiles for, and starts, the library of Debian's unstable archive.
func newest(log io.Writer) (found string, err error) {
	d := debian.System{Suite: "sid", Arch: "amd64", Packages: []string{"libdpdk-dev", "pkgconf", "gcc", "libc6-dev"}}
	root, err := d.Cached(log)
	if err != nil {
		return "", err
	}
	return tested(log, root, []string{"-test.run=" + started},
		"TestTwoVirtualDevicesFindEachOther", "TestTheArgumentsOfDriversAreThoseOfTheLibrary", "TestEALRefusesACommandLineInTheWordsThatWeKnow")
}

// tested compiles the backend's tests in a root, runs them there, and says how many passed. Those of must have to be among them.
func tested(log io.Writer, root string, flags []string, must ...string) (found string, err error) {
	repository, err := os.Getwd()
	if err != nil {
		return "", err
	}
	out, err := os.MkdirTemp("", "peregrine-out")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(out)
	folders := map[string]string{
		"/usr/local/go": runtime.GOROOT(), "/src": repository, "/out": out,
		"/modules": goEnv("GOMODCACHE"), "/build": goEnv("GOCACHE"),
	}
	env := []string{"GOMODCACHE=/modules", "GOCACHE=/build", "GOFLAGS=-buildvcs=false", "GOTOOLCHAIN=local", "GOPROXY=off", allowed}
	// What is compiled against some packages' headers is not others', which Go's cache does not know.
	compile := "cd /src && export CGO_CFLAGS=\"-O2 -g -DPACKAGES=$(dpkg-query -W | sha256sum | cut -c -16)\" && go vet -tags dpdk ./transport/dpdk && go test -tags dpdk -c -o /out/dpdk.test ./transport/dpdk"
	if err := debian.Inside(log, root, false, folders, env, "bash", "-c", compile); err != nil {
		return "", err
	}
	var said bytes.Buffer
	test := "cd /src/transport/dpdk && pkg-config --modversion libdpdk && exec /out/dpdk.test \"$@\""
	flags = append(flags, "-test.v", "-test.timeout="+debian.Hung.String())
	err = debian.Inside(&said, root, false, folders, env, append([]string{"bash", "-c", test, "bash"}, flags...)...)
	if err == nil {
		found, err = passed(said.String(), must)
	}
	if err != nil {
		log.Write(said.Bytes())
		return "", err
	}
	version, _, _ := strings.Cut(said.String(), "\n")
	return "DPDK " + version + ": " + found, nil
}

var verdict = regexp.MustCompile(`(?m)^--- (PASS|SKIP): (\S+) `)

// passed counts the tests that a verbose run says have passed, and names those that were skipped. Each of must has to have
// passed: a test that is not there any more is no success.
func passed(said string, must []string) (found string, err error) {
	ok, skipped := map[string]bool{}, []string{}
	for _, m := range verdict.FindAllStringSubmatch(said, -1) {
		if m[1] == "PASS" {
			ok[m[2]] = true
		} else {
			skipped = append(skipped, m[2])
		}
	}
	for _, name := range must {
		if !ok[name] {
			return "", fmt.Errorf("%s did not run", name)
		}
	}
	found = fmt.Sprintf("%d tests passed", len(ok))
	if len(skipped) > 0 {
		found += ", skipped " + strings.Join(skipped, ", ")
	}
	return found, nil
}

// allowed are the flags of libdpdk that cgo has to be told to take.
const allowed = "CGO_CFLAGS_ALLOW=-mrtm|-moutline-atomics"

// arm64 compiles for Graviton against the packages of Debian 13, and starts the library if it can be emulated.
func arm64(log io.Writer) (found string, err error) {
	if err := debian.Needs(log, map[string]string{
		"aarch64-linux-gnu-gcc": "gcc-aarch64-linux-gnu", "qemu-aarch64-static": "qemu-user-static", "pkg-config": "pkg-config",
	}); err != nil {
		return "", err
	}
	d := debian.System{Suite: "trixie", Arch: "arm64", Packages: []string{"libdpdk-dev", "libc6-dev"}}
	root, err := d.Cached(log)
	if err != nil {
		return "", err
	}
	out, err := os.MkdirTemp("", "peregrine-out")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(out)
	libraries := filepath.Join(root, "usr/lib/aarch64-linux-gnu")
	compile := exec.Command("go", "test", "-tags", "dpdk", "-c", "-o", filepath.Join(out, "dpdk.test"), "./transport/dpdk")
	compile.Env = append(compile.Environ(),
		"GOOS=linux", "GOARCH=arm64", "CGO_ENABLED=1", "CC=aarch64-linux-gnu-gcc --sysroot="+root, allowed,
		fmt.Sprintf("CGO_LDFLAGS=-Wl,-rpath-link,%s:%[1]s/lapack:%[1]s/blas", libraries),
		"PKG_CONFIG_SYSROOT_DIR="+root, "PKG_CONFIG_PATH=",
		"PKG_CONFIG_LIBDIR="+libraries+"/pkgconfig:"+filepath.Join(root, "usr/share/pkgconfig"))
	if err := debian.Run(log, compile); err != nil {
		return "", err
	}
	// The story of one process, since a process that is emulated starts no other that is.
	const story = "TestTheClockOfAPortGoesOn"
	start := exec.Command("unshare", "--net", "qemu-aarch64-static", "-L", root, filepath.Join(out, "dpdk.test"),
		"-test.v", "-test.run=^"+story+"$", "-test.timeout="+debian.Hung.String())
	start.Env = append(start.Environ(), "PEREGRINE_DPDK_ALONE=1", "PEREGRINE_NETNS_ISOLATED=1")
	var said bytes.Buffer
	if err := debian.Run(io.MultiWriter(log, &said), start); err != nil {
		return "", err
	}
	found, err = passed(said.String(), []string{story})
	return "compiled, and started in an emulator: " + found, err
}
