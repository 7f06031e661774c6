// Package otel gives OpenTelemetry the metrics of package metrics, and spans of
// calls and requests.
//
//	reader := sdkmetric.NewPeriodicReader(exporter,
//		sdkmetric.WithProducer(otel.NewProducer(metrics.Source{Endpoint: endpoint})))
//	endpoint, err := peregrine.Listen(url, append(otel.Tracing(provider, nil), peregrine.WithMetrics())...)
//
// The span of a handler is a child of its client's, which crosses the wire.
package otel
