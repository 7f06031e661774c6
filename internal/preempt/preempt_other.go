//go:build !linux

package preempt

// Watch knows nothing here.
type Watch struct{}

// Preempted is false where the system does not tell.
func (*Watch) Preempted() bool { return false }
