package udpsock

import "golang.org/x/sys/unix"

// LacksSegmentation tells the answers of kernels and devices that cannot cut
// runs apart. The same numbers have other causes too.
func LacksSegmentation(errno unix.Errno) bool {
	return errno == unix.EIO || errno == unix.EINVAL || errno == unix.ENOPROTOOPT || errno == unix.EOPNOTSUPP
}
