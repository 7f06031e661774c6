package pgrpc_test

import "go.opentelemetry.io/otel/propagation"

type propagator struct{ propagation.TraceContext }
