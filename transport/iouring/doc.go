// Package iouring is UDP over io_uring.
package iouring
