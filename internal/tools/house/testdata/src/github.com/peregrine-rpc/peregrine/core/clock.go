package core

import (
	"context"
	"net" // want `core may not import net`
	"net/netip"
	"sync" // want `core may not import sync`
	"sync/atomic"
	"time"
)

var (
	counter atomic.Uint64
	peer    netip.AddrPort
	addr    net.Addr
	mu      sync.Mutex
)

func age(start, now time.Time) time.Duration {
	go counter.Add(1)                  // want `core may not start a goroutine`
	_ = time.Since                     // want `core may not use time.Since: take the time as an argument`
	time.Sleep(1)                      // want `core may not use time.Sleep`
	_, _ = context.WithTimeout(nil, 1) // want `core may not use context.WithTimeout`
	return now.Sub(start)
}
