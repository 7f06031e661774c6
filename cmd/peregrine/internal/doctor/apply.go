package doctor

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Changes are those of all findings, in their order.
func (d *Diagnosis) Changes() []Change {
	var all []Change
	for i := range d.Findings {
		all = append(all, d.Findings[i].Changes...)
	}
	return all
}

// String says what a change does.
func (c Change) String() string { return fmt.Sprintf("%s: %s → %s", c.Path, c.From, c.To) }

// Apply makes the change below root, "/" of a host, and looks whether it took. A
// file that has meanwhile another value than was found is left alone.
func (c Change) Apply(root string) error {
	path := filepath.Join(root, c.Path)
	if now, err := value(path); err != nil || now != c.From {
		if err == nil {
			err = fmt.Errorf("%s is %s by now: run doctor again", c.Path, now)
		}
		return err
	}
	// O_TRUNC has no meaning to these files, and a file that is gone stays gone.
	file, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = file.WriteString(c.To + "\n")
	if closed := file.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return fmt.Errorf("%s: %w", c.Path, err)
	}
	if now, err := value(path); err != nil || now != c.To {
		return fmt.Errorf("%s is %q after %q was written: the kernel did not take it", c.Path, now, c.To)
	}
	return nil
}

func value(path string) (string, error) {
	text, err := os.ReadFile(path)
	return strings.TrimSpace(string(text)), err
}
