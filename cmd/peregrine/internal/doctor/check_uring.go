package doctor

import (
	"fmt"
	"strings"
)

func checkURing(r *report) {
	u := r.Probed.IOURing
	disabled, _ := r.sysctl("kernel.io_uring_disabled")
	switch {
	case r.Host.Kernel.Before(6, 1):
		r.find("uring-kernel", "This is Linux "+r.Host.Kernel.Text+".", "Take udp:// until there is Linux 6.1 or later.")
	case disabled == 2, disabled == 1 && u.Error != "":
		who := "all processes"
		if disabled == 1 {
			who = "processes without CAP_SYS_ADMIN that are not in the group of kernel.io_uring_group"
		}
		r.find("uring-disabled", fmt.Sprintf("kernel.io_uring_disabled is %d: off for %s.", disabled, who),
			"sudo sysctl -w kernel.io_uring_disabled=0     # if this host runs no code that it does not trust", "Or take udp://, which is seldom slower.")
	case u.Error != "":
		r.find("uring-filtered", u.Error,
			"Allow io_uring_setup, io_uring_enter and io_uring_register in the container's seccomp profile (docker run --security-opt seccomp=FILE).",
			"Or take udp://, which is seldom slower.")
	default:
		for _, note := range u.Notes {
			if !strings.Contains(note, "_buffer=") { // that is udp-buffer
				r.find("uring-copies", note)
			}
		}
		if r.Host.Kernel.Before(6, 13) {
			r.find("uring-older", "This is Linux "+r.Host.Kernel.Text+"; 6.13 lets any thread wake a ring, 6.18 lists what it has.")
		}
	}
}
