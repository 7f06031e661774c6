package xsk

// Frames are free frames of a UMEM, by address; the one that was put last is taken
// first, since it is in cache. Or runs of frames that lie side by side, for packets
// of several pieces.
type Frames struct {
	free []uint64
	size uint64 // of a frame, or of a run
}

// Frames returns n frames of the UMEM, from number first on.
func (u *Umem) Frames(first, n int) Frames { return u.Runs(first, n, 1) }

// Runs returns n runs of so many frames each, from number first on. The length of a
// run is a power of two, and first a multiple of it.
func (u *Umem) Runs(first, n, length int) Frames {
	f := Frames{make([]uint64, 0, n), uint64(length * u.frameSize)}
	for i := n - 1; i >= 0; i-- {
		f.free = append(f.free, uint64((first+i*length)*u.frameSize))
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

// Put gives back the frame, or run, that an address lies in. Nobody else has it any
// more.
func (f *Frames) Put(addr uint64) { f.free = append(f.free, addr&^(f.size-1)) }
