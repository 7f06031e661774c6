// Package report writes measured groups as a document: first what was claimed
// and whether it was reached, then every group with its commands.
package report
