// Package debian makes fresh Debians, each in a folder, and runs commands in them, as root. Roots and packages are kept in the
// user's cache folder.
package debian

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/peregrine-rpc/peregrine/internal/tools/steps"
)

const archive = "http://deb.debian.org/debian"

// System is a Debian of packages. Those of another architecture are only unpacked.
type System struct {
	Suite    string // bookworm, trixie, sid
	Arch     string // amd64, arm64
	Packages []string
}

// Cloud is what a cloud's image of a suite has.
func Cloud(suite string) System {
	return System{Suite: suite, Arch: "amd64", Packages: []string{"ca-certificates", "sudo", "kmod", "procps"}}
}

// freshFor is how long a root is as good as a new one.
const freshFor = 14 * 24 * time.Hour

// CacheFolder is where roots and packages are kept.
func CacheFolder() (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(cache, "peregrine-debian")
	return dir, os.MkdirAll(dir, 0o755)
}

// Cached returns a root that is to be left as it is, made anew if there is none, or an old one.
func (s System) Cached(log io.Writer) (string, error) {
	cache, err := CacheFolder()
	if err != nil {
		return "", err
	}
	if err := Needs(log, map[string]string{"mmdebstrap": "mmdebstrap"}); err != nil {
		return "", err
	}
	variant := "apt"
	if s.Arch != "amd64" {
		variant = "extract"
	}
	const merged = "--hook-dir=/usr/share/mmdebstrap/hooks/merged-usr" // or /lib is missing where nothing is configured
	args := []string{merged, "--variant=" + variant, "--architectures=" + s.Arch, "--include=" + strings.Join(s.Packages, ",")}
	args = append(args, `--aptopt=Acquire::Retries "3"`, `--aptopt=APT::Update::Error-Mode "any"`)
	args = append(args, hostSettings()...)
	key := sha256.Sum256(fmt.Append(nil, args))
	dir := filepath.Join(cache, fmt.Sprintf("%s-%s-%x", s.Suite, s.Arch, key[:4]))
	if info, err := os.Stat(dir); err == nil && time.Since(info.ModTime()) < freshFor {
		return dir, nil
	}
	making := dir + ".making"
	if err := os.RemoveAll(making); err != nil {
		return "", err
	}
	var said bytes.Buffer
	if err := Run(io.MultiWriter(log, &said), exec.Command("mmdebstrap", append(args, s.Suite, making, archive)...)); err != nil {
		return "", OutOfReach(said.String(), err)
	}
	older, _ := filepath.Glob(filepath.Join(cache, s.Suite+"-"+s.Arch+"-????????")) // errs only on a malformed pattern
	for _, dir := range older {
		if err := os.RemoveAll(dir); err != nil {
			return "", err
		}
	}
	now := time.Now()
	return dir, errors.Join(os.Chtimes(making, now, now), os.Rename(making, dir))
}

// unfetched is what apt says of what it could not have.
var unfetched = regexp.MustCompile(`(?m)^[EW]: (Failed to fetch .*)$`)

// OutOfReach is why err is no failure, if apt said that its archive is not in reach.
func OutOfReach(said string, err error) error {
	if m := unfetched.FindStringSubmatch(said); err != nil && m != nil {
		return steps.Skip("the archive is not in reach: " + m[1])
	}
	return err
}

// installing keeps two steps from installing at once.
var installing sync.Mutex

// Needs installs the packages that have programs, where these are missing and CI is set. Elsewhere it says what to install.
func Needs(log io.Writer, packages map[string]string) error {
	if os.Geteuid() != 0 {
		return steps.Skip("it makes roots of its own, which takes root")
	}
	installing.Lock()
	defer installing.Unlock()
	var missing []string
	for program, pkg := range packages {
		if _, err := exec.LookPath(program); err != nil {
			missing = append(missing, pkg)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	if os.Getenv("CI") == "" {
		return steps.Skip(fmt.Sprintf("it needs the packages %v: apt-get install them", missing))
	}
	var said bytes.Buffer
	var err error // the last one's: not all of a host's sources need be in reach
	for _, args := range [][]string{{"update", "-qq"}, append([]string{"install", "-qq", "--no-install-recommends"}, missing...)} {
		cmd := exec.Command("apt-get", append(args, "-o", "DPkg::Lock::Timeout=600")...)
		cmd.Env = append(cmd.Environ(), "DEBIAN_FRONTEND=noninteractive")
		err = Run(io.MultiWriter(log, &said), cmd)
	}
	return OutOfReach(said.String(), err)
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

// Copied is a root to work in, and how to remove it.
func (s System) Copied(log io.Writer) (dir string, remove func(), err error) {
	from, err := s.Cached(log)
	if err != nil {
		return "", nil, err
	}
	dir, err = os.MkdirTemp("", "peregrine-root")
	if err != nil {
		return "", nil, err
	}
	remove = func() { _ = os.RemoveAll(dir) }
	err = Run(log, exec.Command("cp", "-a", "--reflink=auto", from+"/.", dir))
	if err == nil { // it is not to outlast a power cut
		err = os.WriteFile(filepath.Join(dir, "etc/dpkg/dpkg.cfg.d/unsafe"), []byte("force-unsafe-io\n"), 0o644)
	}
	if err != nil {
		remove()
		return "", nil, err
	}
	return dir, remove, nil
}

// Hung is what only something that hangs takes.
const Hung = time.Hour

// Inside runs a command in a root, with processes and mounts of its own, and, unless it may go outside, a network of its own.
// It sees folders of the host, by their names there, and an empty /tmp. What it leaves running ends with it.
func Inside(log io.Writer, root string, outside bool, folders map[string]string, env []string, command ...string) error {
	var script strings.Builder
	fmt.Fprintf(&script, "set -e\nroot=$1; shift\nmount --bind \"$root\" \"$root\"\n")
	fmt.Fprintf(&script, "mount -t proc proc \"$root/proc\"\nmount --rbind /dev \"$root/dev\"\nmount --rbind /sys \"$root/sys\"\n")
	fmt.Fprintf(&script, "cp -L /etc/resolv.conf \"$root/etc/resolv.conf\"\nip link set lo up || true\n")
	fmt.Fprintf(&script, "mount -t tmpfs tmpfs \"$root/tmp\"\n")
	for there, here := range folders {
		if err := errors.Join(os.MkdirAll(here, 0o755), os.MkdirAll(filepath.Join(root, there), 0o755)); err != nil {
			return err
		}
		fmt.Fprintf(&script, "mount --bind '%s' \"$root%s\"\n", here, there)
	}
	script.WriteString("exec chroot \"$root\" \"$@\"\n")
	args := []string{"--mount", "--propagation", "private", "--pid", "--fork", "--kill-child"}
	if !outside {
		args = append(args, "--net")
	}
	args = append(args, "timeout", "--kill-after=5", fmt.Sprint((Hung + time.Minute).Seconds()), "sh", "-c", script.String(), "sh", root)
	cmd := exec.Command("unshare", append(args, command...)...)
	cmd.Env = append([]string{
		"PATH=/usr/local/go/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
		"HOME=/root", "LANG=C.UTF-8", "DEBIAN_FRONTEND=noninteractive",
	}, env...)
	return Run(log, cmd)
}

// Run runs a command, whose output goes to log.
func Run(log io.Writer, cmd *exec.Cmd) error {
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s: %w", filepath.Base(cmd.Path), err)
	}
	return nil
}
