package arena

import (
	"os"
	"runtime"
	"sync"

	"golang.org/x/sys/unix"
)

// Arena is memory, all zero at first.
type Arena struct{ mem []byte }

// idle is mappings that nobody uses, by their size.
var idle = struct {
	sync.Mutex
	bySize map[int][][]byte
}{bySize: map[int][][]byte{}}

// New maps size bytes.
func New(size int) (*Arena, error) {
	idle.Lock()
	defer idle.Unlock()
	if kept := idle.bySize[size]; len(kept) > 0 {
		last := len(kept) - 1
		idle.bySize[size] = kept[:last]
		return &Arena{kept[last]}, nil
	}
	mem, err := unix.Mmap(-1, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS|unix.MAP_NORESERVE)
	if err != nil {
		return nil, os.NewSyscallError("mmap", err)
	}
	// A huge page for the first byte of one buffer would make its neighbours
	// resident.
	_ = unix.Madvise(mem, unix.MADV_NOHUGEPAGE) // kernels without huge pages refuse
	return &Arena{mem}, nil
}

// Bytes is the memory.
func (a *Arena) Bytes() []byte { return a.mem }

// Free gives the memory back to the system. Who is late in learning of it and
// reads or writes it finds other contents. The addresses serve another arena only
// when nobody refers to this one any more. Call it once.
func (a *Arena) Free() {
	release(a.mem)
	runtime.AddCleanup(a, func(mem []byte) {
		release(mem)
		idle.Lock()
		defer idle.Unlock()
		idle.bySize[len(mem)] = append(idle.bySize[len(mem)], mem)
	}, a.mem)
}

// release makes mem zero, and not resident.
func release(mem []byte) {
	if unix.Madvise(mem, unix.MADV_DONTNEED) != nil {
		clear(mem)
	}
}
