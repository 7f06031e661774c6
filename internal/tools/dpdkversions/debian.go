package main

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

const archive = "http://deb.debian.org/debian"

// debian is a root to be made of packages. Those of another architecture are only unpacked.
type debian struct {
	suite, arch string
	packages    []string
}

// freshFor is how long a root is as good as a new one.
const freshFor = 14 * 24 * time.Hour

// cacheFolder is where roots and packages are kept.
func cacheFolder() (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(cache, "peregrine-dpdk")
	return dir, os.MkdirAll(dir, 0o755)
}

// cached returns a root that is to be left as it is, made anew if there is none, or an old one.
func (d debian) cached(log io.Writer) (string, error) {
	cache, err := cacheFolder()
	if err != nil {
		return "", err
	}
	if err := needs(log, map[string]string{"mmdebstrap": "mmdebstrap"}); err != nil {
		return "", err
	}
	key := sha256.Sum256(fmt.Append(nil, d.packages))
	dir := filepath.Join(cache, fmt.Sprintf("%s-%s-%x", d.suite, d.arch, key[:4]))
	if info, err := os.Stat(dir); err == nil && time.Since(info.ModTime()) < freshFor {
		return dir, nil
	}
	making := dir + ".making"
	if err := errors.Join(os.RemoveAll(making), os.RemoveAll(dir)); err != nil {
		return "", err
	}
	variant := "apt"
	if d.arch != "amd64" {
		variant = "extract"
	}
	const merged = "--hook-dir=/usr/share/mmdebstrap/hooks/merged-usr" // or /lib is missing where nothing is configured
	args := []string{merged, "--variant=" + variant, "--architectures=" + d.arch, "--include=" + strings.Join(d.packages, ",")}
	args = append(args, hostSettings()...)
	var said bytes.Buffer
	if err := run(io.MultiWriter(log, &said), "mmdebstrap", append(args, d.suite, making, archive)...); err != nil {
		if strings.Contains(said.String(), "E: apt-get update") {
			return "", skipError(fmt.Sprintf("%s of %s is not in reach", d.suite, archive))
		}
		return "", err
	}
	now := time.Now()
	return dir, errors.Join(os.Chtimes(making, now, now), os.Rename(making, dir))
}

// hostSettings are those of this host's apt that depend on where it is: its proxy, and whether it takes an archive that was
// copied a while ago.
func hostSettings() (args []string) {
	out, _ := exec.Command("apt-config", "dump").Output()
	for line := range strings.Lines(string(out)) {
		name, _, _ := strings.Cut(line, " ")
		switch name {
		case "Acquire::Check-Valid-Until", "Acquire::Check-Date", "Acquire::http::Proxy", "Acquire::https::Proxy":
			args = append(args, "--aptopt="+strings.TrimSuffix(strings.TrimSpace(line), ";"))
		}
	}
	return args
}

// copied is a root to work in, and how to remove it.
func (d debian) copied(log io.Writer) (dir string, remove func(), err error) {
	from, err := d.cached(log)
	if err != nil {
		return "", nil, err
	}
	dir, err = os.MkdirTemp("", "peregrine-root")
	if err != nil {
		return "", nil, err
	}
	remove = func() { _ = os.RemoveAll(dir) }
	err = run(log, "cp", "-a", "--reflink=auto", from+"/.", dir)
	if err == nil { // it is not to outlast a power cut
		err = os.WriteFile(filepath.Join(dir, "etc/dpkg/dpkg.cfg.d/unsafe"), []byte("force-unsafe-io\n"), 0o644)
	}
	if err != nil {
		remove()
		return "", nil, err
	}
	return dir, remove, nil
}

// bind is a folder of the host that a root sees as another.
type bind struct{ from, to string }

// inside runs a command in a root, with processes and mounts of its own, and, unless it may go outside, a network of its own.
// What it leaves running ends with it.
func inside(log io.Writer, root string, outside bool, binds []bind, env []string, command ...string) error {
	var script strings.Builder
	fmt.Fprintf(&script, "set -e\nroot=$1; shift\nmount --bind \"$root\" \"$root\"\n")
	fmt.Fprintf(&script, "mount -t proc proc \"$root/proc\"\nmount --rbind /dev \"$root/dev\"\nmount --rbind /sys \"$root/sys\"\n")
	fmt.Fprintf(&script, "cp -L /etc/resolv.conf \"$root/etc/resolv.conf\"\nip link set lo up || true\n")
	for _, b := range binds {
		if err := errors.Join(os.MkdirAll(b.from, 0o755), os.MkdirAll(filepath.Join(root, b.to), 0o755)); err != nil {
			return err
		}
		fmt.Fprintf(&script, "mount --bind '%s' \"$root%s\"\n", b.from, b.to)
	}
	script.WriteString("exec chroot \"$root\" \"$@\"\n")
	args := []string{"--mount", "--propagation", "private", "--pid", "--fork", "--kill-child"}
	if !outside {
		args = append(args, "--net")
	}
	args = append(args, "timeout", "--kill-after=5", "1500", "sh", "-c", script.String(), "sh", root)
	cmd := exec.Command("unshare", append(args, command...)...)
	cmd.Env = append([]string{
		"PATH=/usr/local/go/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
		"HOME=/root", "LANG=C.UTF-8", "DEBIAN_FRONTEND=noninteractive",
	}, env...)
	return runCommand(log, cmd)
}
