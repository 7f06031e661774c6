//go:build !unix

package main

import "os/exec"

// Elsewhere there are no process groups.
func ownGroup(*exec.Cmd) {}
func killGroup(int)      {}
