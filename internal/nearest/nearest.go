// Package nearest guesses what someone meant who misspelt a word.
package nearest

import (
	"fmt"
	"strings"
)

// DidYouMean returns a question that names the candidate nearest to word, with a
// space before it, or nothing where none is near. Its beginning is near, too.
func DidYouMean(word string, candidates []string) string {
	best, least := "", 3
	for _, c := range candidates {
		if len(word) >= 3 && strings.HasPrefix(c, word) {
			best = c
			break
		}
		if d := distance(word, c); d < least && d < len(c) {
			best, least = c, d
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf(" (did you mean %q?)", best)
}

// longest is the length in bytes from which on a word is nobody's slip.
const longest = 64

// distance is that of Damerau and Levenshtein, where two neighbours that change
// places are one slip, by Wagner and Fischer's method with three rows.
func distance(a, b string) int {
	if len(a) > longest || len(b) > longest {
		return longest
	}
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := range len(a) {
		row[0] = i + 1
		for j := range len(b) {
			substitute := last[j]
			if a[i] != b[j] {
				substitute++
			}
			row[j+1] = min(substitute, last[j+1]+1, row[j]+1)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				row[j+1] = min(row[j+1], before[j-1]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}
