//go:build !linux

package main

import "errors"

func ioUringRefused() error { return errors.New("io_uring needs Linux") }
func xdpRefused() error     { return errors.New("AF_XDP needs Linux") }
