package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/peregrine-rpc/peregrine/internal/tools/clone"
	"github.com/peregrine-rpc/peregrine/internal/tools/debian"
)

// pages are followed by a user in this order, from a machine that has nothing.
var pages = []string{"docs/dpdk.md", "docs/aws.md", "docs/mellanox.md"}

// block is the commands of a document that a reader is to type.
type block struct {
	page string
	line int // of the first command
	text string
}

var (
	fence = regexp.MustCompile("(?m)^( *)```sh\n((?s:.*?))^ *```$")
	// beyond is the line from where on a block needs what no test has: a card, a second host, an account.
	beyond = regexp.MustCompile(`(?m)^\s*# With [^\n]+:$`)
)

// blocksOf are the command blocks of a page, each as far as it can be run anywhere.
func blocksOf(page string) ([]block, error) {
	text, err := os.ReadFile(page)
	if err != nil {
		return nil, err
	}
	var blocks []block
	for _, m := range fence.FindAllSubmatchIndex(text, -1) {
		commands := string(text[m[4]:m[5]])
		if end := beyond.FindStringIndex(commands); end != nil {
			commands = commands[:end[0]]
		}
		if strings.TrimSpace(commands) != "" {
			blocks = append(blocks, block{page, bytes.Count(text[:m[4]], []byte("\n")) + 1, commands})
		}
	}
	return blocks, nil
}

// online says whether a block needs more of the network than this machine.
func (b block) online() bool {
	return strings.Contains(b.text, "apt-get") || strings.Contains(b.text, "git clone")
}

// documents follows the pages on a fresh machine, and then does more with that.
func documents(log io.Writer, suite string, more ...func(log io.Writer, root string) (string, error)) (string, error) {
	root, remove, err := debian.Cloud(suite).Copied(log)
	if err != nil {
		return "", err
	}
	defer remove()
	if err := rebooted(log, root); err != nil {
		return "", err
	}
	folders, remove, err := outside(log, suite)
	if err != nil {
		return "", err
	}
	defer remove()
	ran := 0
	for _, page := range pages {
		blocks, err := blocksOf(page)
		if err != nil {
			return "", err
		}
		for _, b := range blocks {
			if err := b.run(log, root, folders); err != nil {
				return "", fmt.Errorf("%s:%d does not run on %s: %w", b.page, b.line, suite, err)
			}
		}
		ran += len(blocks)
	}
	if err := debian.Inside(log, root, false, folders, nil, "apt-get", "-qq", "autoclean"); err != nil { // of the cache
		return "", err
	}
	found := fmt.Sprintf("%d blocks ran", ran)
	for _, f := range more {
		also, err := f(log, root)
		if err != nil {
			return "", err
		}
		found += "; " + also
	}
	return found, nil
}

// outside is what a machine has of the rest of the world: this clone, where the documents' address leads, and caches of what
// the network would bring.
func outside(log io.Writer, suite string) (folders map[string]string, remove func(), err error) {
	cache, err := debian.CacheFolder()
	if err != nil {
		return nil, nil, err
	}
	folder, err := os.MkdirTemp("", "peregrine-clone")
	if err != nil {
		return nil, nil, err
	}
	remove = func() { _ = os.RemoveAll(folder) }
	settings := "[url \"file:///clone/\"]\n\tinsteadOf = https://github.com/peregrine-rpc/\n[safe]\n\tdirectory = *\n"
	err = os.WriteFile(filepath.Join(folder, "gitconfig"), []byte(settings), 0o644)
	if err == nil {
		err = clone.Of(log, ".", filepath.Join(folder, "peregrine"), "--bare")
	}
	// Go's proxy may be one that only this host trusts.
	if roots, missing := os.ReadFile("/etc/ssl/certs/ca-certificates.crt"); err == nil && missing == nil {
		err = os.WriteFile(filepath.Join(folder, "ca.crt"), roots, 0o644)
	}
	if err != nil {
		remove()
		return nil, nil, err
	}
	return map[string]string{
		"/clone":                  folder,
		"/var/cache/apt/archives": filepath.Join(cache, "debs-"+suite),
		"/root/go/pkg/mod":        filepath.Join(cache, "modules"),
		"/root/.cache/go-build":   filepath.Join(cache, "build-"+suite),
	}, remove, nil
}

// run runs a block where the last one ended; its variables are its own.
func (b block) run(log io.Writer, root string, folders map[string]string) error {
	script := "cd \"$(cat /root/.cwd 2>/dev/null || echo /root)\"\nset -eu\n" + b.text + "\npwd > /root/.cwd\n"
	env := []string{
		"GOPROXY=" + goEnv("GOPROXY"), "GOSUMDB=" + goEnv("GOSUMDB"),
		"SSL_CERT_FILE=/clone/ca.crt", "GIT_CONFIG_GLOBAL=/clone/gitconfig",
	}
	var said bytes.Buffer
	err := debian.Inside(&said, root, b.online(), folders, env, "bash", "-c", script)
	if err != nil {
		fmt.Fprintf(log, "%s\n%s", b.text, said.Bytes())
	}
	return err
}

// rebooted has the root's uname name the kernel that the archive has now, as on a machine that was upgraded and rebooted.
func rebooted(log io.Writer, root string) error {
	var said bytes.Buffer
	if err := debian.Inside(&said, root, true, nil, nil, "sh", "-c", "apt-get update -qq && apt-cache depends linux-image-cloud-amd64"); err != nil {
		log.Write(said.Bytes())
		return debian.OutOfReach(said.String(), err)
	}
	kernel := regexp.MustCompile(`Depends: linux-image-(\S+?)(-unsigned)?\n`).FindSubmatch(said.Bytes())
	if kernel == nil {
		return fmt.Errorf("the archive names no kernel: %s", said.Bytes())
	}
	uname := fmt.Sprintf("#!/bin/sh\n[ \"$*\" = -r ] && echo %s || exec /usr/bin/uname \"$@\"\n", kernel[1])
	return os.WriteFile(filepath.Join(root, "usr/local/bin/uname"), []byte(uname), 0o755)
}

func goEnv(name string) string {
	out, _ := exec.Command("go", "env", name).Output()
	return strings.TrimSpace(string(out))
}
