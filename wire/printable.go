package wire

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Printable is text, which may be a peer's, for a terminal or a log: quoted if it has
// anything but printable characters, such as those that control a terminal, line ends,
// invalid UTF-8, marks that turn the direction of writing.
func Printable(text string) string {
	if utf8.ValidString(text) && !strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return text
	}
	return strconv.Quote(text)
}

// Sendable is text as it may be sent: UTF-8, and of at most so many bytes, cut between
// characters. What is no UTF-8 in it is replaced.
func Sendable(text string, most int) string {
	text = strings.ToValidUTF8(text, string(utf8.RuneError))
	if len(text) <= most {
		return text
	}
	for !utf8.RuneStart(text[most]) {
		most--
	}
	return text[:most]
}
