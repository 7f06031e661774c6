// Package netns gives tests and measurements networks of their own: namespaces that
// have no name and are joined by veth pairs. They need CAP_NET_ADMIN and
// CAP_SYS_ADMIN.
//
// A namespace lives as long as a thread or descriptor refers to it, and a veth
// device as long as its namespace. So nothing stays behind, even of a process
// that is killed.
package netns
