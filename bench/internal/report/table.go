package report

import "strings"

// table is a Markdown table: the first column to the left, the others to the
// right.
type table struct {
	head []string
	rows [][]string
}

func (t *table) add(cells ...string) { t.rows = append(t.rows, cells) }

func (d *document) table(t table) {
	rule := []string{"---"}
	for range t.head[1:] {
		rule = append(rule, "---:")
	}
	for _, row := range append([][]string{t.head, rule}, t.rows...) {
		cells := make([]string, len(row))
		for i, cell := range row {
			cells[i] = strings.ReplaceAll(cell, "|", `\|`)
		}
		d.line("| %s |", strings.Join(cells, " | "))
	}
	d.line("")
}
