package core

// pool keeps objects for reuse, the last used first, which is the one still in
// cache. It grows to the most ever in use at a time.
type pool[T any] struct{ free []*T }

func (p *pool[T]) get() *T {
	if n := len(p.free); n > 0 {
		x := p.free[n-1]
		p.free = p.free[:n-1]
		return x
	}
	return new(T)
}

func (p *pool[T]) put(x *T) { p.free = append(p.free, x) }

// table is a pool whose objects have numbers, which take half the room of
// pointers where many records name one. 0 names none.
type table[T any] struct {
	all  []*T
	free []uint32
}

func (t *table[T]) get() (uint32, *T) {
	if n := len(t.free); n > 0 {
		id := t.free[n-1]
		t.free = t.free[:n-1]
		return id, t.all[id]
	}
	if t.all == nil {
		t.all = append(t.all, nil)
	}
	x := new(T)
	t.all = append(t.all, x)
	return uint32(len(t.all) - 1), x
}

// at returns the object with a number; nil for 0, if get was ever called.
func (t *table[T]) at(id uint32) *T { return t.all[id] }

func (t *table[T]) put(id uint32) { t.free = append(t.free, id) }
