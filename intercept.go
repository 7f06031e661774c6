package peregrine

import (
	"context"
	"reflect"
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

// StreamFunc opens a stream of a method, as [Session.Stream] does.
type StreamFunc func(ctx context.Context, m Method, header []byte) (*Stream, error)

// WithStreamInterceptor has each stream that the endpoint's sessions open go through
// what wrap makes: it may change the header, refuse, or ask by [Stream.OnEnd] to hear
// how the stream ends. Of several the first is the outermost.
func WithStreamInterceptor(wrap func(next StreamFunc) StreamFunc) Option {
	return func(o *options) {
		if wrap == nil {
			o.refuse("interceptor", "it is nil: leave the option out")
			return
		}
		o.streamIntercept = append(o.streamIntercept, wrap)
	}
}

// WithStreamHandlerInterceptor puts what wrap makes around every handler of streams,
// also those that [Endpoint.HandleStream] sets later. It runs on the stream's goroutine,
// and what it returns ends the stream. Of several the first is the outermost.
func WithStreamHandlerInterceptor(wrap func(next StreamHandler) StreamHandler) Option {
	return func(o *options) {
		if wrap == nil {
			o.refuse("interceptor", "it is nil: leave the option out")
			return
		}
		o.streamInterceptors = append(o.streamInterceptors, wrap)
	}
}

// intercepted is f, a function, within the wraps.
func intercepted[F any](wraps []func(F) F, f F) (F, error) {
	for _, wrap := range slices.Backward(wraps) {
		if f = wrap(f); reflect.ValueOf(f).IsNil() {
			return f, &ConfigError{Key: "interceptor", Problem: "it made no function: return next to leave that alone"}
		}
	}
	return f, nil
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
