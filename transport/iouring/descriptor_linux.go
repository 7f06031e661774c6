package iouring

// Descriptor implements [transport.Pollable]. A ring that has requests under way, as
// with sqpoll or one thread bound to it, takes datagrams off the socket by itself, and
// tells of them by itself only.
func (q *queue) Descriptor() int {
	if q.async() {
		return -1
	}
	return q.sock.FD
}
