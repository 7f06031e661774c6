// Package stat sums up repeated measurements on a machine whose speed changes
// between them: it labels each with that speed, and compares like with like.
package stat
