// Package prom has Prometheus collect what package metrics measures.
//
//	registry.MustRegister(prom.New(prom.Options{Source: metrics.Source{Endpoint: endpoint}}))
//
// Names are those of package metrics, by OpenTelemetry's rules for Prometheus. A
// dashboard for Grafana is in docs/grafana.json.
package prom

import (
	"context"
	"encoding/hex"
	"math"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/peregrine-rpc/peregrine"
	"github.com/peregrine-rpc/peregrine/metrics"
)

// Options say what a Collector collects.
type Options struct {
	metrics.Source
	// Labels, if any, are those of all values, such as which endpoint of several it
	// is.
	Labels prometheus.Labels
	// Native makes histograms native ones, which Prometheus has to be told to scrape.
	// They tell durations apart to 9 %, and classic ones to a power of two.
	Native bool
}

// New returns a Collector of an endpoint. It asks the endpoint whenever it is
// scraped, and costs nothing between.
func New(o Options) *Collector { return &Collector{o} }

// Collector implements [prometheus.Collector]. Any goroutine may call its methods.
type Collector struct{ options Options }

// Describe sends nothing: which series there are depends on what is called.
func (c *Collector) Describe(chan<- *prometheus.Desc) {}

// Collect measures. A loop that does not answer, because something holds it, is
// left out.
func (c *Collector) Collect(out chan<- prometheus.Metric) {
	families, err := c.options.Gather(context.Background())
	up := 1.0
	if err != nil {
		up = 0
	}
	complete := metrics.Family{
		Name: "peregrine.complete", Unit: "1", Help: "1 if all loops answered; 0 if one was held, and is left out.", Kind: metrics.Gauge,
		Points: []metrics.Point{{Value: up}},
	}
	for _, f := range append(families, complete) {
		c.send(out, &f)
	}
}

func (c *Collector) send(out chan<- prometheus.Metric, f *metrics.Family) {
	for i := range f.Points {
		p := &f.Points[i]
		var names, values []string
		for _, l := range p.Labels {
			names, values = append(names, underscored(l.Name)), append(values, l.Value)
		}
		desc := prometheus.NewDesc(Name(f), f.Help, names, c.options.Labels)
		m, err := c.metric(desc, f.Kind, p, values)
		if err == nil && len(p.Exemplars) > 0 {
			m, err = prometheus.NewMetricWithExemplars(m, exemplars(p)...)
		}
		if err != nil {
			m = prometheus.NewInvalidMetric(desc, err)
		}
		out <- m
	}
}

// exemplars are those of a histogram, by the labels that Grafana and others link by.
func exemplars(p *metrics.Point) (all []prometheus.Exemplar) {
	for _, e := range p.Exemplars {
		all = append(all, prometheus.Exemplar{
			Value: e.Took.Seconds(), Timestamp: e.Ended,
			Labels: prometheus.Labels{"trace_id": hex.EncodeToString(e.Trace.TraceID[:]), "span_id": hex.EncodeToString(e.Trace.SpanID[:])},
		})
	}
	return all
}

func (c *Collector) metric(desc *prometheus.Desc, kind metrics.Kind, p *metrics.Point, values []string) (prometheus.Metric, error) {
	switch {
	case kind == metrics.Durations && c.options.Native:
		return native(desc, p.Histogram, values)
	case kind == metrics.Durations:
		buckets := make(map[float64]uint64, len(metrics.Bounds))
		for i, n := range metrics.Cumulate(p.Histogram) {
			buckets[metrics.Bounds[i]] = n
		}
		return prometheus.NewConstHistogram(desc, p.Histogram.Count(), p.Histogram.Sum().Seconds(), buckets, values...)
	case kind == metrics.Counter:
		return prometheus.NewConstMetric(desc, prometheus.CounterValue, p.Value, values...)
	}
	return prometheus.NewConstMetric(desc, prometheus.GaugeValue, p.Value, values...)
}

const (
	// schema has eight buckets for each power of two.
	schema = 3
	// zeroThreshold is below what can be measured.
	zeroThreshold = 1e-9
)

// native puts each bucket of h where its middle belongs.
func native(desc *prometheus.Desc, h *peregrine.Histogram, values []string) (prometheus.Metric, error) {
	buckets := map[int]int64{}
	zero := uint64(0)
	for between, n := range h.Buckets() {
		middle := (between[0] + between[1]).Seconds() / 2
		if middle <= zeroThreshold {
			zero += n
			continue
		}
		buckets[int(math.Ceil(math.Log2(middle)*(1<<schema)))] += int64(n)
	}
	return prometheus.NewConstNativeHistogram(desc, h.Count(), h.Sum().Seconds(), buckets, nil, zero, schema, zeroThreshold, time.Time{}, values...)
}

// Name is what Prometheus calls a family.
func Name(f *metrics.Family) string {
	name := underscored(f.Name)
	switch f.Unit {
	case "s":
		name += "_seconds"
	case "By":
		name += "_bytes"
	}
	if f.Kind == metrics.Counter {
		name += "_total"
	}
	return name
}

func underscored(name string) string { return strings.ReplaceAll(name, ".", "_") }
