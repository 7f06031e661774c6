package core

// pool keeps objects for reuse, the last used first, which is the one still in
// cache.
type pool[T any] struct {
	free  []*T
	least int // that were free at a time since the last trim
}

func (p *pool[T]) get() *T {
	if n := len(p.free) - 1; n >= 0 {
		x := p.free[n]
		p.free = p.free[:n]
		p.least = min(p.least, n)
		return x
	}
	return new(T)
}

func (p *pool[T]) put(x *T) { p.free = append(p.free, x) }

// trim lets go of what was not needed since the last trim.
func (p *pool[T]) trim() {
	clear(p.free[len(p.free):cap(p.free)])
	p.free = drop(p.free, p.least)
	p.least = len(p.free)
}

// table is a pool whose objects have numbers, which take half the room of
// pointers where many records name one. 0 names none.
type table[T any] struct {
	all   []*T
	free  []uint32
	least int // that were free at a time since the last trim
	bare  int // of free, from the front: without an object; least at most
}

// take returns the number of an object that was free all the while since the last
// trim; 0: there is none, and get does.
func (t *table[T]) take() uint32 {
	n := len(t.free) - 1
	if n < t.least {
		return 0
	}
	id := t.free[n]
	t.free = t.free[:n]
	return id
}

// get returns the number of any object; fresh says that it is new memory.
func (t *table[T]) get() (id uint32, fresh bool) {
	n := len(t.free) - 1
	if n < 0 {
		if t.all == nil {
			t.all = append(t.all, nil)
		}
		t.all = append(t.all, new(T))
		return uint32(len(t.all) - 1), true
	}
	id = t.free[n]
	t.free = t.free[:n]
	t.least = min(t.least, n)
	if fresh = n < t.bare; fresh {
		t.bare = n
		t.all[id] = new(T)
	}
	return id, fresh
}

// at returns the object with a number that take or get returned.
func (t *table[T]) at(id uint32) *T { return t.all[id] }

func (t *table[T]) put(id uint32) { t.free = append(t.free, id) }

// trim lets go of the objects that were not needed since the last trim, told to
// forget. The numbers go once all are free.
func (t *table[T]) trim(forget func(*T)) {
	for _, id := range t.free[t.bare:max(t.bare, t.least)] {
		forget(t.all[id])
		t.all[id] = nil
	}
	t.bare = max(t.bare, t.least)
	if t.bare+1 >= len(t.all) {
		*t = table[T]{}
	}
	t.least = len(t.free)
}
