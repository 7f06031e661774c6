package core

import "unsafe" // want `core may not import unsafe`

const word = unsafe.Sizeof(uintptr(0))
