package peregrine

import (
	"context"
	"slices"
)

// CallFunc calls a method and waits, as [Session.Call] does.
type CallFunc func(ctx context.Context, m Method, request, buf []byte) ([]byte, error)

// WithCallInterceptor has each [Session.Call] of the endpoint's sessions go
// through what wrap makes: it may look at the call and its outcome, change
// either, call next again, or not at all. Of several the first is the outermost.
//
// Go and Submit, which do not wait, have no interceptors: they are for code that
// counts nanoseconds, and a function that wraps a Call's Done does the same.
func WithCallInterceptor(wrap func(next CallFunc) CallFunc) Option {
	return func(o *options) {
		if wrap == nil {
			o.refuse("interceptor", "it is nil: leave the option out")
			return
		}
		o.intercept = append(o.intercept, wrap)
	}
}

// intercepted is call within the wraps; nil without any.
func intercepted(wraps []func(CallFunc) CallFunc, call CallFunc) (CallFunc, error) {
	if len(wraps) == 0 {
		return nil, nil
	}
	for _, wrap := range slices.Backward(wraps) {
		if call = wrap(call); call == nil {
			return nil, &ConfigError{Key: "interceptor", Problem: "it made no function: return next to leave calls alone"}
		}
	}
	return call, nil
}

// WithHandlerInterceptor puts what wrap makes around every handler, also those
// that [Endpoint.Handle] sets later: it may look at a request, answer it, call
// next, or not. Of several the first is the outermost. They run where the
// handler runs, be it the loop, a worker or the goroutine of [Go]; so what is
// refused before its handler runs, as when a pool is full, is not seen.
func WithHandlerInterceptor(wrap func(next Handler) Handler) Option {
	return func(o *options) {
		if wrap == nil {
			o.refuse("interceptor", "it is nil: leave the option out")
			return
		}
		o.interceptors = append(o.interceptors, wrap)
	}
}
