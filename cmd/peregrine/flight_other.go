//go:build !unix

package main

import "os"

// askSignals ask for a recording: there are none here.
var askSignals []os.Signal
