//go:build !linux

package relay

import "time"

// sleeper is nothing where the system has no way to wait for several transports:
// they are looked at now and then.
type sleeper struct{}

func (*sleeper) open() error  { return nil }
func (*sleeper) wake()        {}
func (*sleeper) add(*side)    {}
func (*sleeper) remove(*side) {}
func (*sleeper) close() error { return nil }

// sleep sleeps until clients have sent something or timeout has passed, which is at
// most a glance.
func (r *Relay) sleep(timeout time.Duration) error { return r.inside.tr.Wait(timeout) }

func (r *Relay) look() error { return nil }
