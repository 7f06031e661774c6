package peregrine

import "context"

// WaitForReady is ctx, under which calls and streams wait while their server cannot
// be reached, as those of all sessions do with [WithWaitForReady].
func WaitForReady(ctx context.Context) context.Context {
	return context.WithValue(ctx, readyKey{}, true)
}

type readyKey struct{}

// waitsForReady says whether a call of s under ctx waits for its server.
func (s *Session) waitsForReady(ctx context.Context) bool {
	return s.waitForReady || ctx.Value(readyKey{}) != nil
}
