package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"github.com/peregrine-rpc/peregrine/internal/tools/debian"
	"github.com/peregrine-rpc/peregrine/internal/tools/steps"
)

// trials build, into the folder out, and try what was built.
func trials(out string) []steps.Step {
	return []steps.Step{
		{Name: "build", First: true, Run: func(log io.Writer) (string, error) { return builtTwice(log, out) }},
		{Name: "package, Debian 12", Run: func(log io.Writer) (string, error) { return installed(log, out, "bookworm") }},
		{Name: "package, Debian 13", Run: func(log io.Writer) (string, error) { return installed(log, out, "trixie") }},
		{Name: "image", Run: func(log io.Writer) (string, error) { return contained(log, out) }},
		{Name: "arm64", Run: func(log io.Writer) (string, error) { return emulated(log, out) }},
	}
}

// builtTwice builds, and builds again: the sums are the same.
func builtTwice(log io.Writer, out string) (found string, err error) {
	again, err := os.MkdirTemp("", "peregrine-again")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(again)
	var sums [2][]byte
	for i, dir := range []string{again, out} {
		if err := build(log, ".", dir); err != nil {
			return "", err
		}
		if sums[i], err = os.ReadFile(filepath.Join(dir, "SHA256SUMS")); err != nil {
			return "", err
		}
	}
	if !bytes.Equal(sums[0], sums[1]) {
		return "", fmt.Errorf("built twice, it differs:\n%s\n%s", sums[0], sums[1])
	}
	check := exec.Command("sha256sum", "--check", "--quiet", "SHA256SUMS")
	check.Dir = out
	return fmt.Sprintf("%d files, twice the same", bytes.Count(sums[0], []byte("\n"))), debian.Run(log, check)
}

// only is the one file of a kind and architecture.
func only(out, arch, kind string) (string, error) {
	found, err := filepath.Glob(filepath.Join(out, "peregrine_*_"+arch+kind))
	if err == nil && len(found) != 1 {
		err = fmt.Errorf("there are %d of *_%s%s", len(found), arch, kind)
	}
	if err != nil {
		return "", err
	}
	return filepath.Abs(found[0])
}

// use is what a user does with the package, on a machine of its own, and what is to be true afterwards.
const use = `
dpkg --verify peregrine
peregrine --version
peregrine serve --config /etc/peregrine/server.yaml > /tmp/served &
until grep -q 'listening on udp://127.0.0.1:31850\|listening on 127.0.0.1:31850' /tmp/served; do sleep 0.1; done
peregrine perf 127.0.0.1:31850 --duration 1s
kill -TERM $!
wait $!
cat /tmp/served
grep -q '^served [1-9]' /tmp/served
peregrine doctor || [ $? = 3 ]
man peregrine-serve | grep -q -- --config
MANWIDTH=1000 man peregrine | grep -q peregrine-doctor # not cut at the end of a line
bash -c '. /usr/share/bash-completion/completions/peregrine && complete -p peregrine'
systemd-analyze verify peregrine.service
systemd-analyze security --offline=yes --threshold=20 peregrine.service > /tmp/exposed || { cat /tmp/exposed; exit 1; }
tail -1 /tmp/exposed
echo '# changed' >> /etc/peregrine/server.yaml
dpkg --install /dist/peregrine.deb
grep -q '# changed' /etc/peregrine/server.yaml
apt-get -qq remove peregrine
test ! -e /usr/bin/peregrine
test -e /etc/peregrine/server.yaml
apt-get -qq purge peregrine
test ! -e /etc/peregrine
`

// installed installs the package on a fresh Debian, uses it, and removes it.
func installed(log io.Writer, out, suite string) (found string, err error) {
	file, err := only(out, "amd64", ".deb")
	if err != nil {
		return "", err
	}
	root, remove, err := debian.Cloud(suite).Copied(log)
	if err != nil {
		return "", err
	}
	defer remove()
	given, err := os.MkdirTemp("", "peregrine-given")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(given)
	if err := debian.Run(log, exec.Command("cp", file, filepath.Join(given, "peregrine.deb"))); err != nil {
		return "", err
	}
	cache, err := debian.CacheFolder()
	if err != nil {
		return "", err
	}
	folders := map[string]string{"/dist": given, "/var/cache/apt/archives": filepath.Join(cache, "debs-"+suite)}
	var said bytes.Buffer
	if err := debian.Inside(&said, root, true, folders, nil, "sh", "-c",
		"apt-get update -qq && apt-get install -qq /dist/peregrine.deb man-db systemd bash-completion procps"); err != nil {
		log.Write(said.Bytes())
		return "", debian.OutOfReach(said.String(), err)
	}
	return "installed, served, looked at the host, removed", debian.Inside(log, root, false, folders, nil, "sh", "-exc", use)
}

// contained runs the demonstration in the image's root.
func contained(log io.Writer, out string) (found string, err error) {
	if os.Geteuid() != 0 {
		return "", steps.Skip("it takes root")
	}
	file, err := only(out, "amd64", ".image.tar")
	if err != nil {
		return "", err
	}
	image, err := tarball.ImageFromPath(file, nil)
	if err != nil {
		return "", err
	}
	config, err := image.ConfigFile()
	if err != nil {
		return "", err
	}
	root, err := os.MkdirTemp("", "peregrine-image")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(root)
	for _, dir := range []string{"proc", "dev", "sys", "tmp", "etc"} { // a container's runtime makes them
		if err := os.Mkdir(filepath.Join(root, dir), 0o755); err != nil {
			return "", err
		}
	}
	unpack := exec.Command("tar", "-x", "-C", root)
	unpack.Stdin = mutate.Extract(image)
	if err := debian.Run(log, unpack); err != nil {
		return "", err
	}
	command := append(config.Config.Entrypoint, "demo")
	return "the demonstration ran in it", debian.Inside(log, root, false, nil, nil, command...)
}

// emulated runs the other architecture's program as far as an emulator can.
func emulated(log io.Writer, out string) (found string, err error) {
	if err := debian.Needs(log, map[string]string{"qemu-aarch64-static": "qemu-user-static"}); err != nil {
		return "", err
	}
	file, err := only(out, "arm64", ".tar.gz")
	if err != nil {
		return "", err
	}
	dir, err := os.MkdirTemp("", "peregrine-arm64")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(dir)
	err = debian.Run(log, exec.Command("tar", "-xzf", file, "-C", dir, "peregrine"))
	var said bytes.Buffer
	if err == nil {
		err = debian.Run(io.MultiWriter(log, &said), exec.Command("qemu-aarch64-static", filepath.Join(dir, "peregrine"), "--version"))
	}
	if err == nil && !bytes.Contains(said.Bytes(), []byte("linux/arm64")) {
		err = errors.New("it is not for arm64")
	}
	return "says its version", err
}
