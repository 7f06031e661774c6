package udp

import "github.com/peregrine-rpc/peregrine/transport"

// routes is a table of destinations; a Route is an index into it. Forgotten
// slots are used again, so a table is as large as the most routes at a time.
type routes[D any] struct {
	slots []slot[D]
	free  []transport.Route
}

type slot[D any] struct {
	dest D
	used bool
}

func (r *routes[D]) add(dest D) transport.Route {
	if n := len(r.free); n > 0 {
		route := r.free[n-1]
		r.free = r.free[:n-1]
		r.slots[route] = slot[D]{dest, true}
		return route
	}
	r.slots = append(r.slots, slot[D]{dest, true})
	return transport.Route(len(r.slots) - 1)
}

func (r *routes[D]) forget(route transport.Route) {
	if r.get(route) != nil {
		r.slots[route] = slot[D]{}
		r.free = append(r.free, route)
	}
}

// get returns a destination, or nil for one that is not in the table. The
// pointer is good until the next add.
func (r *routes[D]) get(route transport.Route) *D {
	if int(route) < len(r.slots) && r.slots[route].used {
		return &r.slots[route].dest
	}
	return nil
}
