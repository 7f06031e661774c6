//go:build dpdk

package dpdk

/*
#cgo pkg-config: libdpdk
#include <stdlib.h>
#include <rte_eal.h>
#include <rte_timer.h>
#include "port.h"
*/
import "C"

import (
	"os"
	"syscall"
	"unsafe"
)

const maxLcores = C.RTE_MAX_LCORE

// ealInit calls rte_eal_init. The thread becomes the main lcore.
func ealInit(args []string) error {
	// Never freed: EAL may keep what it gets.
	argv := unsafe.Slice((**C.char)(C.calloc(C.size_t(len(args)+1), C.size_t(unsafe.Sizeof((*C.char)(nil))))), len(args)+1)
	for i, arg := range args {
		argv[i] = C.CString(arg)
	}
	err := result(C.peregrine_start(C.int(len(args)), &argv[0]))
	// Its directory is empty: it was told to share no files.
	_ = os.Remove(C.GoString(C.rte_eal_get_runtime_dir()))
	return err
}

// ealLog takes what EAL and the drivers logged since the last call.
func ealLog() string {
	var text [8192]byte
	n := C.peregrine_log_take((*C.char)(unsafe.Pointer(&text[0])), C.int(len(text)))
	return lastLines(string(text[:n]))
}

// libraryRelease is the library that runs, which need not be the one that was
// compiled against.
func libraryRelease() release {
	var year, month, stable C.uint
	C.peregrine_release(&year, &month, &stable)
	return release{int(year)*100 + int(month), int(stable)}
}

// manageTimers runs the timers that drivers armed from this thread.
func manageTimers() { C.rte_timer_manage() }

// result is the error of a call that returns 0 or -errno.
func result(ret C.int) error {
	if ret < 0 {
		return syscall.Errno(-ret)
	}
	return nil
}
