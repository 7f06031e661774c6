package core

// copyShort is copy, in line for 16 to 32 bytes, as small messages often are: two moves,
// which may overlap each other.
func copyShort(dst, src []byte) int {
	if n := len(src); uint(n-16) <= 16 && n <= len(dst) {
		*(*[16]byte)(dst) = *(*[16]byte)(src)
		*(*[16]byte)(dst[n-16:]) = *(*[16]byte)(src[n-16:])
		return n
	}
	return copy(dst, src)
}
