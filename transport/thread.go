package transport

// ThreadBinder is implemented by transports that do better when one thread makes
// all of their owner's calls.
type ThreadBinder interface {
	// BindThread promises that the owner's calls come from the calling goroutine
	// from now on, which stays locked to its thread (runtime.LockOSThread), also
	// Close unless that finds the owner in Wait. After an error things are as they
	// were. The owner calls it.
	BindThread() error
}

// BindThread is tr's BindThread if it is a [ThreadBinder]; others do not care.
func BindThread(tr Transport) error {
	if b, ok := tr.(ThreadBinder); ok {
		return b.BindThread()
	}
	return nil
}
