package main

import (
	"fmt"
	"syscall"
	"unsafe"
)

// ioUringRefused says why this kernel, or what guards it, gives no io_uring; nil if it does.
func ioUringRefused() error {
	const setup = 425                                                              // io_uring_setup, on every architecture but alpha
	var params [120 / 4]uint32                                                     // struct io_uring_params: all zero asks for nothing special
	fd, _, errno := syscall.Syscall(setup, 1, uintptr(unsafe.Pointer(&params)), 0) // the kernel writes params during the call
	if errno != 0 {
		return fmt.Errorf("the kernel gives no io_uring (%w): see sysctl kernel.io_uring_disabled, and seccomp in containers", errno)
	}
	return syscall.Close(int(fd))
}

// xdpRefused says likewise of AF_XDP.
func xdpRefused() error {
	const family = 44 // AF_XDP
	fd, err := syscall.Socket(family, syscall.SOCK_RAW, 0)
	if err != nil {
		return fmt.Errorf("the kernel gives no AF_XDP socket (%w): it takes CONFIG_XDP_SOCKETS, and root", err)
	}
	return syscall.Close(fd)
}
