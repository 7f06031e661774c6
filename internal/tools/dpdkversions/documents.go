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
	// Only what is below this heading of a page is about DPDK.
	from := max(0, bytes.Index(text, []byte("\n# DPDK")))
	var blocks []block
	for _, m := range fence.FindAllSubmatchIndex(text, -1) {
		if m[0] < from {
			continue
		}
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
func documents(log io.Writer, suite string, more ...func(io.Writer, string) error) error {
	d := debian{suite, "amd64", []string{"ca-certificates", "sudo", "kmod", "procps"}} // what a cloud's image has
	root, remove, err := d.copied(log)
	if err != nil {
		return err
	}
	defer remove()
	if err := rebooted(log, root); err != nil {
		return err
	}
	cache, err := cacheFolder()
	if err != nil {
		return err
	}
	clone, err := os.MkdirTemp("", "peregrine-clone")
	if err != nil {
		return err
	}
	defer os.RemoveAll(clone)
	if err := run(log, "git", "clone", "-q", "--bare", ".", filepath.Join(clone, "peregrine")); err != nil {
		return err
	}
	// Go's proxy may be one that only this host trusts.
	if roots, err := os.ReadFile("/etc/ssl/certs/ca-certificates.crt"); err == nil {
		if err := os.WriteFile(filepath.Join(clone, "ca.crt"), roots, 0o644); err != nil {
			return err
		}
	}
	settings := "[url \"file:///clone/\"]\n\tinsteadOf = https://github.com/peregrine-rpc/\n[safe]\n\tdirectory = *\n"
	if err := os.WriteFile(filepath.Join(root, "etc/gitconfig"), []byte(settings), 0o644); err != nil {
		return err
	}
	binds := []bind{
		{clone, "/clone"},
		{filepath.Join(cache, "debs-"+suite), "/var/cache/apt/archives"},
		{filepath.Join(cache, "modules"), "/root/go/pkg/mod"},
		{filepath.Join(cache, "build-"+suite), "/root/.cache/go-build"},
	}
	for _, page := range pages {
		blocks, err := blocksOf(page)
		if err != nil {
			return err
		}
		for _, b := range blocks {
			// A block begins where the last one ended; its variables are its own.
			script := "cd \"$(cat /root/.cwd 2>/dev/null || echo /root)\"\nset -eu\n" + b.text + "\npwd > /root/.cwd\n"
			var said bytes.Buffer
			env := []string{"GOPROXY=" + goEnv("GOPROXY"), "GOSUMDB=" + goEnv("GOSUMDB"), "SSL_CERT_FILE=/clone/ca.crt"}
			if err := inside(&said, root, b.online(), binds, env, "bash", "-c", script); err != nil {
				fmt.Fprintf(log, "%s\n%s", b.text, said.Bytes())
				return fmt.Errorf("%s:%d does not run on %s: %w", b.page, b.line, suite, err)
			}
		}
	}
	for _, f := range more {
		if err := f(log, root); err != nil {
			return err
		}
	}
	return nil
}

// rebooted has the root's uname name the kernel that the archive has now, as on a machine that was upgraded and rebooted.
func rebooted(log io.Writer, root string) error {
	var said bytes.Buffer
	if err := inside(&said, root, true, nil, nil, "sh", "-c", "apt-get update -qq && apt-cache depends linux-image-cloud-amd64"); err != nil {
		log.Write(said.Bytes())
		return err
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
