package main

import (
	"crypto/sha256"
	"debug/buildinfo"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/peregrine-rpc/peregrine/internal/tools/clone"
	"github.com/peregrine-rpc/peregrine/internal/tools/debian"
)

// architectures are those of Linux machines that a release is for.
var architectures = []string{"amd64", "arm64"}

// release is what the packages of all architectures have in common.
type release struct {
	version string    // as Debian writes it
	made    time.Time // the commit's
	texts   []text
	scripts string // the folder of what is run on installing and removing
}

// text is a file that every package has.
type text struct {
	path     string // where it is installed
	content  string // where it is
	settings bool   // the user's to change
}

// program is the command line tool of one architecture.
type program struct {
	arch string
	path string
}

// build writes everything to the folder out, which it makes anew, of the commit that the repository is at.
func build(log io.Writer, repository, out string) error {
	if err := os.RemoveAll(out); err != nil {
		return err
	}
	if err := os.MkdirAll(out, 0o755); err != nil {
		return err
	}
	work, err := os.MkdirTemp("", "peregrine-dist")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	checkout := filepath.Join(work, "peregrine")
	if err := clone.Of(log, repository, checkout); err != nil {
		return err
	}
	var programs []program
	for _, arch := range architectures {
		p := program{arch, filepath.Join(work, arch)}
		if err := p.compile(log, checkout); err != nil {
			return err
		}
		programs = append(programs, p)
	}
	r, err := releaseOf(log, programs, checkout, work)
	if err != nil {
		return err
	}
	for _, p := range programs {
		for kind, write := range map[string]func(release, program, io.Writer) error{
			"%s.deb": writePackage, "%s.tar.gz": writeArchive, "%s.image.tar": writeImage, "%s.cdx.json": writeParts,
		} {
			name := fmt.Sprintf("peregrine_%s_"+kind, r.version, p.arch)
			if err := writeFile(filepath.Join(out, name), func(w io.Writer) error { return write(r, p, w) }); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
		}
	}
	return writeSums(out)
}

// compile builds the program of a clone, static and without paths of this machine.
func (p program) compile(log io.Writer, checkout string) error {
	cmd := exec.Command("go", "build", "-trimpath", "-buildvcs=true", "-ldflags=-s -w", "-o", p.path, "./cmd/peregrine")
	cmd.Dir = checkout
	cmd.Env = append(cmd.Environ(), "GOOS=linux", "GOARCH="+p.arch, "CGO_ENABLED=0")
	return debian.Run(log, cmd)
}

// releaseOf asks the programs, of which this machine can run one, of what they are, and for their texts.
func releaseOf(log io.Writer, programs []program, checkout, work string) (r release, err error) {
	own := slices.IndexFunc(programs, func(p program) bool { return p.arch == runtime.GOARCH })
	if own < 0 || runtime.GOOS != "linux" {
		return r, fmt.Errorf("run it on Linux, on one of %v: a program is asked for its manual pages", architectures)
	}
	info, err := buildinfo.ReadFile(programs[own].path)
	if err != nil {
		return r, err
	}
	settings := map[string]string{}
	for _, s := range info.Settings {
		settings[s.Key] = s.Value
	}
	// A version of no release begins with the next one's, which it comes before: Debian writes that as ~.
	r.version = strings.ReplaceAll(strings.TrimPrefix(info.Main.Version, "v"), "-", "~")
	if r.made, err = time.Parse(time.RFC3339, settings["vcs.time"]); err != nil {
		return r, errors.New("the program does not know its commit: install git")
	}
	r.scripts = filepath.Join(checkout, "packaging")
	r.texts, err = textsOf(log, programs[own].path, r.made, checkout, work)
	return r, err
}

// textsOf has the program write its manual pages and completions, and adds what the repository has.
func textsOf(log io.Writer, path string, made time.Time, checkout, work string) ([]text, error) {
	pages := filepath.Join(work, "man")
	if err := os.Mkdir(pages, 0o755); err != nil {
		return nil, err
	}
	cmd := exec.Command(path, "man", pages)
	cmd.Env = append(cmd.Environ(), "SOURCE_DATE_EPOCH="+strconv.FormatInt(made.Unix(), 10))
	if err := debian.Run(log, cmd); err != nil {
		return nil, err
	}
	texts := []text{
		{path: "/etc/peregrine/server.yaml", content: filepath.Join(checkout, "packaging/server.yaml"), settings: true},
		{path: "/usr/lib/systemd/system/peregrine.service", content: filepath.Join(checkout, "packaging/peregrine.service")},
		{path: "/usr/share/doc/peregrine/copyright", content: filepath.Join(checkout, "LICENSE")},
		{path: "/usr/share/doc/peregrine/README.md", content: filepath.Join(checkout, "README.md")},
	}
	written, err := filepath.Glob(filepath.Join(pages, "*.1"))
	if err != nil {
		return nil, err
	}
	for _, page := range written {
		if err := compress(page); err != nil {
			return nil, err
		}
		texts = append(texts, text{path: "/usr/share/man/man1/" + filepath.Base(page) + ".gz", content: page + ".gz"})
	}
	for shell, path := range map[string]string{
		"bash": "/usr/share/bash-completion/completions/peregrine",
		"fish": "/usr/share/fish/vendor_completions.d/peregrine.fish",
		"zsh":  "/usr/share/zsh/vendor-completions/_peregrine",
	} {
		content := filepath.Join(work, "completion."+shell)
		err := writeFile(content, func(w io.Writer) error { return debian.Run(w, exec.Command(cmd.Path, "completion", shell)) })
		if err != nil {
			return nil, err
		}
		texts = append(texts, text{path: path, content: content})
	}
	slices.SortFunc(texts, func(a, b text) int { return strings.Compare(a.path, b.path) })
	return texts, nil
}

func writeFile(name string, write func(io.Writer) error) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	return errors.Join(write(f), f.Close())
}

// writeSums adds the digests of the files in a folder, as sha256sum --check reads them.
func writeSums(out string) error {
	files, err := os.ReadDir(out) // in the order of their names
	if err != nil {
		return err
	}
	var sums strings.Builder
	for _, f := range files {
		content, err := os.ReadFile(filepath.Join(out, f.Name()))
		if err != nil {
			return err
		}
		digest := sha256.Sum256(content)
		fmt.Fprintf(&sums, "%s  %s\n", hex.EncodeToString(digest[:]), f.Name())
	}
	return os.WriteFile(filepath.Join(out, "SHA256SUMS"), []byte(sums.String()), 0o644)
}
