package core

// drop removes the first count elements, and a table grown far too large.
func drop[T any](s []T, count int) []T {
	if count > 0 {
		n := copy(s, s[count:])
		clear(s[n:])
		s = s[:n]
	}
	return tight(s)
}

// tight moves s to smaller memory if it has far too much.
func tight[T any](s []T) []T {
	switch {
	case cap(s) <= 64 || len(s) > cap(s)/4:
		return s
	case len(s) == 0:
		return nil
	}
	return append(make([]T, 0, 2*len(s)), s...)
}
