package experiment

import (
	"fmt"
	"html"
	"math"
	"strings"
)

// Chart is lines over two axes, in panels side by side that share them.
type Chart struct {
	Name, Title string // Name is that of its file
	X, Y        Axis
	Panels      []Panel
}

// Axis is what a chart has two of. Its range is that of the data, and of 0
// unless it is logarithmic.
type Axis struct {
	Label string
	Log   bool

	low, high float64
}

// Panel is one set of lines.
type Panel struct {
	Title string
	Lines []Line
	Y     *Axis // of its own; nil: the chart's
}

// Line is points that are connected.
type Line struct {
	Name string
	X, Y []float64
}

// Layout, in pixels. Two panels go in a row.
const (
	chartWidth              = 860.
	panelHeight             = 210.
	left, right, above, gap = 62., 14., 74., 64.
)

// Colours are such as can be seen on light and dark ground.
var (
	ink     = "#7d8590"
	palette = []string{"#7d8590", "#db6d28", "#2f81f7", "#2da44e", "#a371f7", "#bf8700", "#e5534b", "#1b9e9e"}
)

// SVG draws the chart.
func (c *Chart) SVG() string {
	c.X.fit(c.Panels, func(l Line) []float64 { return l.X })
	ofY := func(l Line) []float64 { return l.Y }
	c.Y.fit(c.Panels, ofY)
	columns := min(len(c.Panels), 2)
	rows := (len(c.Panels) + columns - 1) / columns
	width := (chartWidth-right)/float64(columns) - left
	height := above + float64(rows)*(panelHeight+gap)
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %g %g" font-family="Helvetica, Arial, sans-serif" font-size="13" fill="%s">`+"\n",
		chartWidth, height, ink)
	fmt.Fprintf(&b, `<text x="%g" y="20" font-size="15" font-weight="bold">%s</text>`+"\n", left, html.EscapeString(c.Title))
	x := left
	for i, l := range c.Panels[0].Lines {
		fmt.Fprintf(&b, `<path d="M%.1f 38h18" stroke="%s" stroke-width="3"/><text x="%.1f" y="42">%s</text>`+"\n",
			x, palette[i%len(palette)], x+24, html.EscapeString(l.Name))
		x += 44 + 8*float64(len(l.Name))
	}
	for i, p := range c.Panels {
		x := left + float64(i%columns)*(width+left)
		y := above + float64(i/columns)*(panelHeight+gap)
		if p.Y == nil {
			p.Y = &c.Y
		} else {
			p.Y.fit(c.Panels[i:i+1], ofY)
		}
		c.panel(&b, p, x, y, width)
	}
	b.WriteString("</svg>\n")
	return b.String()
}

func (c *Chart) panel(b *strings.Builder, p Panel, x, y, width float64) {
	fmt.Fprintf(b, `<g transform="translate(%.1f %.1f)">`+"\n", x, y)
	fmt.Fprintf(b, `<text x="%.1f" y="-8" text-anchor="middle" font-weight="bold">%s</text>`+"\n", width/2, html.EscapeString(p.Title))
	for _, v := range c.X.ticks() {
		at := c.X.place(v) * width
		fmt.Fprintf(b, `<path d="M%.1f 0v%g" stroke="%s" stroke-opacity=".25"/><text x="%.1f" y="%g" text-anchor="middle">%g</text>`+"\n",
			at, panelHeight, ink, at, panelHeight+17, v)
	}
	for _, v := range p.Y.ticks() {
		at := (1 - p.Y.place(v)) * panelHeight
		fmt.Fprintf(b, `<path d="M0 %.1fh%.1f" stroke="%s" stroke-opacity=".25"/><text x="-6" y="%.1f" text-anchor="end">%g</text>`+"\n",
			at, width, ink, at+4, v)
	}
	fmt.Fprintf(b, `<text x="%.1f" y="%g" text-anchor="middle">%s</text>`+"\n", width/2, panelHeight+36, html.EscapeString(c.X.Label))
	fmt.Fprintf(b, `<text transform="translate(-48 %g) rotate(-90)" text-anchor="middle">%s</text>`+"\n", panelHeight/2, html.EscapeString(p.Y.Label))
	for i, l := range p.Lines {
		var path strings.Builder
		for j := range l.X {
			fmt.Fprintf(&path, "%c%.1f %.1f", "ML"[min(j, 1)], c.X.place(l.X[j])*width, (1-p.Y.place(l.Y[j]))*panelHeight)
		}
		fmt.Fprintf(b, `<path d="%s" fill="none" stroke="%s" stroke-width="1.8" stroke-linejoin="round"/>`+"\n", &path, palette[i%len(palette)])
	}
	b.WriteString("</g>\n")
}

// fit sets the range to that of the panels' data.
func (a *Axis) fit(panels []Panel, of func(Line) []float64) {
	a.low, a.high = math.Inf(1), math.Inf(-1)
	if !a.Log {
		a.low, a.high = 0, 0
	}
	for _, p := range panels {
		for _, l := range p.Lines {
			for _, v := range of(l) {
				if a.Log && v <= 0 {
					continue
				}
				a.low, a.high = min(a.low, v), max(a.high, v)
			}
		}
	}
	if a.high <= a.low { // nothing to show
		a.low, a.high = 1, 10
	}
}

// place is where a value lies, from 0 to 1.
func (a *Axis) place(v float64) float64 {
	low, high := a.low, a.high
	if a.Log {
		low, high, v = math.Log(low), math.Log(high), math.Log(max(v, a.low))
	}
	return (v - low) / (high - low)
}

// ticks are round values within the range.
func (a *Axis) ticks() (list []float64) {
	if a.Log {
		steps := []float64{1, 2, 5}
		if a.high/a.low > 1000 {
			steps = steps[:1]
		}
		for power := math.Floor(math.Log10(a.low)); power <= math.Log10(a.high); power++ {
			for _, step := range steps {
				if v := round(step * math.Pow(10, power)); v >= a.low && v <= a.high {
					list = append(list, v)
				}
			}
		}
		return list
	}
	step := math.Pow(10, math.Floor(math.Log10((a.high-a.low)/3)))
	for _, times := range []float64{5, 2} {
		if (a.high-a.low)/(times*step) >= 3 {
			step *= times
			break
		}
	}
	for v := math.Ceil(a.low/step) * step; v <= a.high; v += step {
		list = append(list, round(v))
	}
	return list
}

// round takes off what binary fractions add.
func round(v float64) float64 { return math.Round(v*1e6) / 1e6 }
