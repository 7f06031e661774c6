package transport

// ThreadBinder is implemented by transports that do better when one thread makes
// all of their owner's calls.
type ThreadBinder interface {
	// BindThread promises that all the owner's calls come from the calling
	// goroutine, which stays locked to its thread (runtime.LockOSThread), until it
	// calls release; also Close, unless that finds the owner in Wait. After an error
	// things are as they were. The owner calls it.
	BindThread() (release func(), err error)
}

// BindThread is tr's BindThread if it is a [ThreadBinder]; others do not care.
func BindThread(tr Transport) (release func(), err error) {
	if b, ok := tr.(ThreadBinder); ok {
		return b.BindThread()
	}
	return func() {}, nil
}
