package xsk

// Frames are free frames of a UMEM, by address; the one that was put last is taken
// first, since it is in cache.
type Frames struct {
	free []uint64
	size uint64
}

// Frames returns n frames of the UMEM, from number first on.
func (u *Umem) Frames(first, n int) Frames {
	f := Frames{make([]uint64, 0, n), uint64(u.frameSize)}
	for i := first + n - 1; i >= first; i-- {
		f.free = append(f.free, uint64(i*u.frameSize))
	}
	return f
}

// Len is how many there are.
func (f *Frames) Len() int { return len(f.free) }

// Take returns a frame; there must be one.
func (f *Frames) Take() uint64 {
	last := len(f.free) - 1
	addr := f.free[last]
	f.free = f.free[:last]
	return addr
}

// Put gives back the frame that an address lies in. Nobody else has it any more.
func (f *Frames) Put(addr uint64) { f.free = append(f.free, addr&^(f.size-1)) }
