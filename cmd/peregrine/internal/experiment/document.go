package experiment

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Document puts the reports' tables into the Markdown file at path, each
// between <!-- begin NAME --> and <!-- end NAME -->, and their charts into the
// folder beside it that is called like it. The rest of the file stays.
func Document(path string, reports []*Report) error {
	bytes, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("read the document: %w", err)
	}
	text := string(bytes)
	tables := []Table{TargetTable(reports...)}
	folder := strings.TrimSuffix(path, filepath.Ext(path))
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return fmt.Errorf("make the charts' folder: %w", err)
	}
	for _, r := range reports {
		tables = append(tables, r.Tables...)
		for _, c := range r.Charts {
			if err := os.WriteFile(filepath.Join(folder, c.Name+".svg"), []byte(c.SVG()), 0o644); err != nil {
				return fmt.Errorf("write a chart: %w", err)
			}
		}
	}
	for _, t := range tables {
		begin, end := "<!-- begin "+t.Name+" -->\n", "<!-- end "+t.Name+" -->"
		before, rest, ok := strings.Cut(text, begin)
		_, after, closed := strings.Cut(rest, end)
		if !ok || !closed {
			return fmt.Errorf("%s has no place for table %q: write %q and %q on lines of their own",
				path, t.Name, strings.TrimSpace(begin), end)
		}
		text = before + begin + "\n" + t.markdown() + "\n" + end + after
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		return fmt.Errorf("write the document: %w", err)
	}
	return nil
}
