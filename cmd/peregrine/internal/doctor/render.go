package doctor

import (
	"fmt"
	"io"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/peregrine-rpc/peregrine/cmd/peregrine/internal/measure"
)

// Print writes the diagnosis for people: what was looked at, what each backend would
// be, and the findings. Lines are folded on a terminal.
func (d *Diagnosis) Print(w io.Writer) error {
	var b strings.Builder
	d.heading(&b)
	for _, each := range d.Backends {
		works := "yes"
		if !each.Works {
			works = "no"
		}
		fmt.Fprintf(&b, "  %-8s %-4s %s\n", each.Name, works, each.How)
	}
	if m := d.Facts.Measured; m != nil {
		if _, err := fmt.Fprintln(w, b.String()); err != nil {
			return err
		}
		b.Reset()
		if err := m.print(w); err != nil { // straight to the terminal, whose width its table goes by
			return err
		}
	}
	fmt.Fprintf(&b, "\n%s, %s, %s.\n", count(d.Count(Problem), "problem"), count(d.Count(Advice), "piece")+" of advice", count(d.Count(Note), "note"))
	for i := range d.Findings {
		d.Findings[i].write(&b, measure.Width(w))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func (d *Diagnosis) heading(b *strings.Builder) {
	f := d.Facts
	if n := f.NIC; n != nil {
		fmt.Fprintf(b, "%s, MTU %d, %s", n.describe(), n.MTU, count(n.Queues(), "queue"))
		if n.PCI != "" {
			fmt.Fprintf(b, ", %s", n.PCI)
		}
		if n.Node >= 0 && len(f.Memory.Nodes) > 1 {
			fmt.Fprintf(b, " on node %d", n.Node)
		}
		fmt.Fprintln(b)
	} else if f.Asked.PCI != "" {
		fmt.Fprintf(b, "%s: no interface of the kernel\n", f.Asked.PCI)
	}
	fmt.Fprintf(b, "Linux %s, %s", f.Host.Kernel.Text, count(len(f.CPU.Online), "CPU"))
	if f.CPU.Model != "" {
		fmt.Fprintf(b, " (%s)", f.CPU.Model)
	}
	if len(f.Memory.Nodes) > 1 {
		fmt.Fprintf(b, ", %d nodes", len(f.Memory.Nodes))
	}
	if f.Host.Cloud != "" {
		fmt.Fprintf(b, ", %s", strings.TrimSpace(f.Host.Cloud+" "+f.Host.Product))
	}
	fmt.Fprint(b, "\n\n")
}

const margin = "         "

// write folds sentences, and leaves commands whole, to be copied.
func (f *Finding) write(b *strings.Builder, width int) {
	fmt.Fprintf(b, "\n%-8s %s\n", f.Level, f.Code)
	sentence := func(text string) { fmt.Fprintln(b, measure.Fold(margin+text, max(0, width-1), len(margin))) }
	sentence(f.What)
	sentence(f.Why)
	for _, do := range f.Do {
		if isCommand(do) {
			fmt.Fprintf(b, "%s$ %s\n", margin, do)
		} else {
			sentence(do)
		}
	}
}

// isCommand tells commands from sentences, which begin with a capital.
func isCommand(line string) bool {
	first, _ := utf8.DecodeRuneInString(line)
	return !unicode.IsUpper(first)
}
