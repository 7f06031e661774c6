package main

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
)

// everyTest runs the backend's tests in a root that has the library, the conformance suite over vhost, virtio-user and memif among
// them, with this host's Go.
func everyTest(log io.Writer, root string) error {
	return tested(log, root, "-test.short", "-test.timeout=10m")
}

// started are the tests that start the library, and hold the table of versions against it.
const started = "TheLibrary|TheArguments|EALRefuses|TheUsersOptions|TwoVirtualDevices|OpenedAgain|ErrorsOfEAL|OfACard|OverVerbs"

// newest compiles for, and starts, the library of Debian's unstable archive.
func newest(log io.Writer) error {
	d := debian{"sid", "amd64", []string{"libdpdk-dev", "pkgconf", "gcc", "libc6-dev"}}
	root, err := d.cached(log)
	if err != nil {
		return err
	}
	return tested(log, root, "-test.run="+started, "-test.timeout=10m")
}

// tested compiles the backend's tests in a root and runs them there.
func tested(log io.Writer, root string, flags ...string) error {
	repository, err := os.Getwd()
	if err != nil {
		return err
	}
	out, err := os.MkdirTemp("", "peregrine-out")
	if err != nil {
		return err
	}
	defer os.RemoveAll(out)
	binds := []bind{
		{runtime.GOROOT(), "/usr/local/go"}, {repository, "/src"}, {out, "/out"},
		{goEnv("GOMODCACHE"), "/modules"}, {goEnv("GOCACHE"), "/build"},
	}
	env := []string{
		"GOMODCACHE=/modules", "GOCACHE=/build", "GOFLAGS=-buildvcs=false", "GOTOOLCHAIN=local", "GOPROXY=off", allowed,
		// What is compiled against one root's headers is not another's.
		"CGO_CFLAGS=-O2 -g -DROOT=" + strings.NewReplacer("-", "_", ".", "_").Replace(filepath.Base(root)),
	}
	compile := "cd /src && go vet -tags dpdk ./transport/dpdk && go test -tags dpdk -c -o /out/dpdk.test ./transport/dpdk"
	if err := inside(log, root, false, binds, env, "bash", "-c", compile); err != nil {
		return err
	}
	test := "mount -t tmpfs tmpfs /tmp && cd /src/transport/dpdk && exec /out/dpdk.test \"$@\""
	return inside(log, root, false, binds, env, append([]string{"bash", "-c", test, "bash"}, flags...)...)
}

// allowed are the flags of libdpdk that cgo has to be told to take.
const allowed = "CGO_CFLAGS_ALLOW=-mrtm|-moutline-atomics"

// arm64 compiles for Graviton against the packages of Debian 13, and starts the library if it can be emulated.
func arm64(log io.Writer) error {
	if err := needs(log, map[string]string{
		"aarch64-linux-gnu-gcc": "gcc-aarch64-linux-gnu", "qemu-aarch64-static": "qemu-user-static", "pkg-config": "pkg-config",
	}); err != nil {
		return err
	}
	d := debian{"trixie", "arm64", []string{"libdpdk-dev", "libc6-dev"}}
	root, err := d.cached(log)
	if err != nil {
		return err
	}
	out, err := os.MkdirTemp("", "peregrine-out")
	if err != nil {
		return err
	}
	defer os.RemoveAll(out)
	libraries := filepath.Join(root, "usr/lib/aarch64-linux-gnu")
	compile := exec.Command("go", "test", "-tags", "dpdk", "-c", "-o", filepath.Join(out, "dpdk.test"), "./transport/dpdk")
	compile.Env = append(compile.Environ(),
		"GOOS=linux", "GOARCH=arm64", "CGO_ENABLED=1", "CC=aarch64-linux-gnu-gcc --sysroot="+root, allowed,
		fmt.Sprintf("CGO_LDFLAGS=-Wl,-rpath-link,%s:%[1]s/lapack:%[1]s/blas", libraries),
		"PKG_CONFIG_SYSROOT_DIR="+root, "PKG_CONFIG_PATH=",
		"PKG_CONFIG_LIBDIR="+libraries+"/pkgconfig:"+filepath.Join(root, "usr/share/pkgconfig"))
	if err := runCommand(log, compile); err != nil {
		return err
	}
	// The story of one process, since a process that is emulated starts no other that is.
	start := exec.Command("unshare", "--net", "qemu-aarch64-static", "-L", root, filepath.Join(out, "dpdk.test"),
		"-test.run=^TestTheClockOfAPortGoesOn$", "-test.timeout=5m")
	start.Env = append(start.Environ(), "PEREGRINE_DPDK_ALONE=1", "PEREGRINE_NETNS_ISOLATED=1")
	return runCommand(log, start)
}
