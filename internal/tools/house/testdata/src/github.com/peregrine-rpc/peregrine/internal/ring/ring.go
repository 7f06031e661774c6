package ring

import "unsafe" // want `unsafe is imported only in files named \*_unsafe\*.go`

const word = unsafe.Sizeof(uintptr(0))
