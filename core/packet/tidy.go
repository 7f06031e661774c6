package packet

import "maps"

// Tidy gives back the memory of tables that have held far more than they do now.
// Call it now and then after connections are gone.
func (e *Endpoint) Tidy() {
	e.timers.heap = tight(e.timers.heap)
	clear(e.dirty[len(e.dirty):cap(e.dirty)])
	e.dirty, e.strays = tight(e.dirty), tight(e.strays)
	e.dialed = smaller(e.dialed, &e.mostDialed)
	e.accepted = smaller(e.accepted, &e.mostAccepted)
	e.tidyConns()
}

// tidyConns takes the numbers of connections that are gone from the end of the
// table.
func (e *Endpoint) tidyConns() {
	n := len(e.conns)
	for n > 0 && e.conns[n-1] == nil {
		n--
	}
	if n == len(e.conns) {
		return
	}
	e.conns = tight(e.conns[:n])
	freed := e.freed[:0]
	for _, slot := range e.freed {
		if int(slot) < n {
			freed = append(freed, slot)
		}
	}
	e.freed = tight(freed)
}

// smaller is m, or a copy if it has held far more: maps do not shrink.
func smaller[K comparable, V any](m map[K]V, most *int) map[K]V {
	if *most <= 64 || len(m) > *most/4 {
		return m
	}
	*most = len(m)
	small := make(map[K]V, len(m))
	maps.Copy(small, m)
	return small
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
