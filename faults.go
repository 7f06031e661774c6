package peregrine

import "github.com/peregrine-rpc/peregrine/transport"

// WithFault makes the transport lose, delay, duplicate, reorder and corrupt
// datagrams in both directions, as in "loss=0.01,dup=0.01,reorder=0.05,
// delay=1ms,corrupt=0.001,seed=7". With "" nothing happens to them, until
// [Endpoint.SetFaults] says otherwise.
func WithFault(spec string) Option {
	return func(o *options) {
		faults, err := transport.ParseFaults(spec)
		o.add(err)
		o.faults = &faults
	}
}

// SetFaults changes the faults of an endpoint that was opened with [WithFault]:
// "loss=1" is a partition, "" heals it. What is held back already leaves when it
// was to. Handlers may call it.
func (e *Endpoint) SetFaults(spec string) error {
	if len(e.loops) == 0 {
		return errNotOpen
	}
	faults, err := transport.ParseFaults(spec)
	if err != nil {
		return err
	}
	for _, l := range e.loops {
		f, ok := l.tr.(*transport.Fault)
		if !ok {
			return &Error{Code: FailedPrecondition, Message: `faults are for endpoints opened with WithFault, be it WithFault("")`}
		}
		f.Set(faults)
	}
	return nil
}
