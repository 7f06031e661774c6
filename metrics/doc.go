// Package metrics says what there is to measure of an endpoint, under which names.
//
// The names are OpenTelemetry's: those of its conventions for RPC where these have
// one, and peregrine.* else, with units by UCUM. Package metrics/otel exports them
// so, package metrics/prom as Prometheus has them, by OpenTelemetry's rules for
// that: rpc.server.call.duration in s is rpc_server_call_duration_seconds. Both are
// modules of their own, so that who does not use them has no more dependencies.
package metrics
