package transport

// Pollable is implemented by transports that can be waited for together with
// others, by a system call of the caller's such as poll.
type Pollable interface {
	// Descriptor is readable when Recv, after it has returned nothing, would return
	// something, or has something else to attend to. It does not tell of Wake, nor
	// of room in a full send queue. It is the transport's: not to be read or closed,
	// and gone after Close. Constant. A negative one means that there is none.
	Descriptor() int
}
