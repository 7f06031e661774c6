// Package otel gives OpenTelemetry the metrics of package metrics, and spans of
// calls and requests.
//
//	reader := sdkmetric.NewPeriodicReader(exporter,
//		sdkmetric.WithProducer(otel.NewProducer(metrics.Source{Endpoint: endpoint})))
//	endpoint, err := peregrine.Listen(url, append(otel.Tracing(provider, nil), peregrine.WithMetrics())...)
//
// The wire has no place for a trace's context: the spans of a client and those of
// its server belong to traces of their own.
package otel
