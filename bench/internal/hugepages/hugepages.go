package hugepages

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// folder is the kernel's for pages of 2 MiB.
const folder = "/sys/kernel/mm/hugepages/hugepages-2048kB"

// Reserve makes n pages of 2 MiB free. restore puts back the number that were there before.
func Reserve(n int) (restore func() error, err error) { return reserve(folder, n) }

func reserve(folder string, n int) (restore func() error, err error) {
	path := filepath.Join(folder, "nr_hugepages")
	before, err := read(path)
	if err != nil {
		return nil, err
	}
	free, err := read(filepath.Join(folder, "free_hugepages"))
	if err != nil {
		return nil, err
	}
	restore = func() error { return write(path, before) }
	if free >= n {
		return restore, nil
	}
	want := before - free + n
	if err := write(path, want); err != nil {
		return nil, err
	}
	got, err := read(path)
	if err == nil && got < want {
		err = fmt.Errorf("the kernel reserved only %d of %d hugepages: free some memory, or boot with hugepages=%d", got, want, want)
	}
	if err != nil {
		_ = restore() // the first error is what matters
		return nil, err
	}
	return restore, nil
}

func read(path string) (int, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return 0, fmt.Errorf("this kernel has no hugepages of 2 MiB: %w", err)
	}
	return strconv.Atoi(strings.TrimSpace(string(text)))
}

func write(path string, n int) error {
	if err := os.WriteFile(path, []byte(strconv.Itoa(n)), 0o644); err != nil {
		return fmt.Errorf("reserve %d hugepages: run as root, or write the number there yourself: %w", n, err)
	}
	return nil
}
