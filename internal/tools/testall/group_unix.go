//go:build unix

package main

import (
	"os/exec"
	"syscall"
)

func ownGroup(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }

// killGroup ends all processes of a group; none may be left.
func killGroup(id int) { _ = syscall.Kill(-id, syscall.SIGKILL) }
