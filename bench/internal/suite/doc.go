// Package suite holds the vocabulary of the comparison: a group of cases that
// are measured by turns, the figures shown of them, and the claims they are
// judged by.
package suite
