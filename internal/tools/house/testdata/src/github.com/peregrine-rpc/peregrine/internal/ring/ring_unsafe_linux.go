package ring

import "unsafe"

const half = unsafe.Sizeof(uint32(0))
