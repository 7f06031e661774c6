//go:build (amd64 || arm64) && gc

package goroutine

// Self is the calling goroutine's ID. It takes about a nanosecond.
func Self() ID
