package doctor

import (
	"errors"
	"io"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
)

// mostText is how much of a file is read. Those of /proc and /sys that are asked
// for are far shorter, but a tree may be anybody's.
const mostText = 1 << 20

// tree reads the files of a host. What is not there is empty; what may not be
// read is noted.
type tree struct {
	files  fs.FS
	unseen []Unseen
}

// text is a file without the space around it.
func (t *tree) text(elements ...string) string {
	name := path.Join(elements...)
	f, err := t.files.Open(name)
	if err == nil {
		defer f.Close()
		var text []byte
		if text, err = io.ReadAll(io.LimitReader(f, mostText)); err == nil {
			return strings.TrimSpace(string(text))
		}
	}
	t.missed(name, err)
	return ""
}

func (t *tree) missed(name string, err error) {
	if errors.Is(err, fs.ErrPermission) {
		t.unseen = append(t.unseen, Unseen{"/" + name, "permission denied"})
	}
}

// number is a file's number, decimal or with 0x; 0 where it has none.
func (t *tree) number(elements ...string) int {
	n, _ := strconv.ParseInt(t.text(elements...), 0, 64)
	return int(n)
}

// numberOr is number with another value for what has none.
func (t *tree) numberOr(otherwise int, elements ...string) int {
	n, err := strconv.ParseInt(t.text(elements...), 0, 64)
	if err != nil {
		return otherwise
	}
	return int(n)
}

func (t *tree) list(elements ...string) []int { return parseList(t.text(elements...)) }

// names lists a folder, sorted.
func (t *tree) names(elements ...string) []string {
	name := path.Join(elements...)
	entries, err := fs.ReadDir(t.files, name)
	if err != nil {
		t.missed(name, err)
		return nil
	}
	names := make([]string, 0, len(entries))
	for _, e := range entries {
		names = append(names, e.Name())
	}
	slices.Sort(names)
	return names
}

func (t *tree) has(elements ...string) bool {
	_, err := fs.Stat(t.files, path.Join(elements...))
	return err == nil
}
