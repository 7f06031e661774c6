package otel

import (
	"context"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/instrumentation"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/peregrine-rpc/peregrine/metrics"
)

// scope is whose measurements these are.
const scope = "github.com/peregrine-rpc/peregrine"

// NewProducer returns what a reader of the SDK asks for an endpoint's metrics. It
// asks the endpoint whenever it is asked, and costs nothing between. Where a loop
// is held it returns what the others have, and the error.
func NewProducer(s metrics.Source) sdkmetric.Producer { return &producer{s, time.Now()} }

type producer struct {
	metrics.Source
	began time.Time
}

// Produce implements [sdkmetric.Producer].
func (p *producer) Produce(ctx context.Context) ([]metricdata.ScopeMetrics, error) {
	families, err := p.Gather(ctx)
	now := time.Now()
	all := metricdata.ScopeMetrics{Scope: instrumentation.Scope{Name: scope}}
	for _, f := range families {
		all.Metrics = append(all.Metrics, metricdata.Metrics{Name: f.Name, Description: f.Help, Unit: f.Unit, Data: p.data(&f, now)})
	}
	return []metricdata.ScopeMetrics{all}, err
}

func (p *producer) data(f *metrics.Family, now time.Time) metricdata.Aggregation {
	if f.Kind == metrics.Durations {
		h := metricdata.Histogram[float64]{Temporality: metricdata.CumulativeTemporality}
		for i := range f.Points {
			h.DataPoints = append(h.DataPoints, p.histogram(&f.Points[i], now))
		}
		return h
	}
	var points []metricdata.DataPoint[float64]
	for i := range f.Points {
		points = append(points, metricdata.DataPoint[float64]{
			Attributes: attributes(&f.Points[i]), StartTime: p.began, Time: now, Value: f.Points[i].Value,
		})
	}
	if f.Kind == metrics.Counter {
		return metricdata.Sum[float64]{DataPoints: points, Temporality: metricdata.CumulativeTemporality, IsMonotonic: true}
	}
	return metricdata.Gauge[float64]{DataPoints: points}
}

func (p *producer) histogram(point *metrics.Point, now time.Time) metricdata.HistogramDataPoint[float64] {
	below, total := uint64(0), point.Histogram.Count()
	counts := metrics.Cumulate(point.Histogram)
	for i, n := range counts {
		counts[i], below = n-below, n
	}
	var exemplars []metricdata.Exemplar[float64]
	for _, e := range point.Exemplars {
		exemplars = append(exemplars, metricdata.Exemplar[float64]{Time: e.Ended, Value: e.Took.Seconds(), SpanID: e.Trace.SpanID[:], TraceID: e.Trace.TraceID[:]})
	}
	return metricdata.HistogramDataPoint[float64]{
		Attributes: attributes(point), StartTime: p.began, Time: now, Count: total, Sum: point.Histogram.Sum().Seconds(),
		Bounds: metrics.Bounds, BucketCounts: append(counts, total-below), Exemplars: exemplars,
	}
}

func attributes(p *metrics.Point) attribute.Set {
	list := make([]attribute.KeyValue, 0, len(p.Labels))
	for _, l := range p.Labels {
		list = append(list, attribute.String(l.Name, l.Value))
	}
	return attribute.NewSet(list...)
}
