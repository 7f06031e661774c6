// Package secureflag is the command-line flags by which this repository's programs say how
// connections are sealed, and their rule that a server which others reach is not plain text unless
// that was asked for.
package secureflag
