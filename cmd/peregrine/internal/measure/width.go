package measure

import (
	"io"
	"os"
	"strings"
	"unicode/utf8"

	"golang.org/x/term"
)

// Width is how many columns the terminal w has; 0 if it is none.
func Width(w io.Writer) int {
	file, ok := w.(*os.File)
	if !ok || !term.IsTerminal(int(file.Fd())) {
		return 0
	}
	width, _, err := term.GetSize(int(file.Fd()))
	if err != nil {
		return 0
	}
	return width
}

// Fold breaks text at spaces so that lines have at most width columns, where
// words allow it, and indents all but the first. Width 0 breaks nothing.
func Fold(text string, width, indent int) string {
	if width == 0 || utf8.RuneCountInString(text) <= width {
		return text
	}
	margin := strings.Repeat(" ", min(indent, width/2))
	var b strings.Builder
	column := 0
	for i, word := range strings.SplitAfter(text, " ") {
		length := utf8.RuneCountInString(strings.TrimSuffix(word, " "))
		if i > 0 && column+length > width {
			b.WriteString("\n" + margin)
			column = len(margin)
			if word == " " {
				continue
			}
		}
		b.WriteString(word)
		column += utf8.RuneCountInString(word)
	}
	return b.String()
}

// Shorten cuts text to width columns.
func Shorten(text string, width int) string {
	runes := []rune(text)
	switch {
	case len(runes) <= width:
		return text
	case width < 1:
		return ""
	}
	return string(runes[:width-1]) + "…"
}
