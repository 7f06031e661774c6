// Package routes is the table of destinations that backends hand out routes from.
package routes

// Table is a table of destinations; a route is an index into it. Forgotten slots
// are used again, so a table is as large as the most routes at a time. It is its
// owner's: no locks.
type Table[D any] struct {
	slots []slot[D]
	free  []uint32
}

type slot[D any] struct {
	dest D
	used bool
}

// Add returns the route of a new destination.
func (t *Table[D]) Add(dest D) uint32 {
	if n := len(t.free); n > 0 {
		route := t.free[n-1]
		t.free = t.free[:n-1]
		t.slots[route] = slot[D]{dest, true}
		return route
	}
	t.slots = append(t.slots, slot[D]{dest, true})
	return uint32(len(t.slots) - 1)
}

// Forget takes a route out, if it is in the table.
func (t *Table[D]) Forget(route uint32) {
	if t.Get(route) != nil {
		t.slots[route] = slot[D]{}
		t.free = append(t.free, route)
	}
}

// Get returns a destination, or nil for one that is not in the table. The
// pointer is good until the next Add.
func (t *Table[D]) Get(route uint32) *D {
	if int(route) < len(t.slots) && t.slots[route].used {
		return &t.slots[route].dest
	}
	return nil
}

// Each calls f for every destination.
func (t *Table[D]) Each(f func(*D)) {
	for i := range t.slots {
		if t.slots[i].used {
			f(&t.slots[i].dest)
		}
	}
}
