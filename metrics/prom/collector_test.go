package prom_test

import (
	"context"
	"encoding/json"
	"maps"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/prometheus/client_golang/prometheus/testutil"
	dto "github.com/prometheus/client_model/go"
	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine"
	"github.com/peregrine-rpc/peregrine/metrics"
	"github.com/peregrine-rpc/peregrine/metrics/prom"
	_ "github.com/peregrine-rpc/peregrine/transport/mem"
)

// patient is for hosts that are busy with something else.
var patient = peregrine.WithConfig(peregrine.Config{KeepAlive: time.Minute, ConnectTimeout: time.Minute})

// served is what a server exports that some calls were made to.
func served(t *testing.T, o prom.Options, options ...peregrine.Option) (*prometheus.Registry, *peregrine.Session) {
	t.Helper()
	pool := peregrine.NewPool(1, 7)
	t.Cleanup(func() { require.NoError(t, pool.Close()) })
	options = append(options, patient, peregrine.WithMetrics())
	server, err := peregrine.Listen("mem://127.0.0.1:0", append(options,
		peregrine.WithHandler(1, func(r peregrine.Request) { r.Reply(r.Data()) }),
		peregrine.WithHandler(2, func(r peregrine.Request) { r.Fail(peregrine.NotFound, "no") }, peregrine.Pooled(pool)))...)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, server.Close()) })
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	s, err := peregrine.Dial(ctx, server.Addr().String(), append(options, peregrine.WithTransport("mem://127.0.0.1:0"))...)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	for range 3 {
		_, err = s.Call(ctx, 1, nil, nil)
		require.NoError(t, err)
	}
	_, err = s.Call(ctx, 2, nil, nil)
	require.Error(t, err)
	o.Endpoint, o.Pools, o.Methods = server, map[string]*peregrine.Pool{"disk": pool}, map[uint16]string{1: "echo"}
	registry := prometheus.NewPedanticRegistry()
	require.NoError(t, registry.Register(prom.New(o)))
	client := o
	client.Endpoint, client.Labels = s.Endpoint(), prometheus.Labels{"endpoint": "client"}
	require.NoError(t, registry.Register(prom.New(client)))
	return registry, s
}

// complete gathers until all loops have answered.
func complete(t *testing.T, registry *prometheus.Registry) map[string]*dto.MetricFamily {
	t.Helper()
	for {
		families, err := registry.Gather()
		require.NoError(t, err)
		byName := map[string]*dto.MetricFamily{}
		for _, f := range families {
			byName[f.GetName()] = f
		}
		if !slices.ContainsFunc(byName["peregrine_complete"].Metric, func(m *dto.Metric) bool { return m.Gauge.GetValue() == 0 }) {
			return byName
		}
	}
}

func label(m *dto.Metric, name string) string {
	for _, l := range m.Label {
		if l.GetName() == name {
			return l.GetValue()
		}
	}
	return ""
}

// value of the metric that has these label values.
func value(f *dto.MetricFamily, values ...string) *dto.Metric {
	for _, m := range f.GetMetric() {
		have := map[string]bool{}
		for _, l := range m.Label {
			have[l.GetValue()] = true
		}
		if !slices.ContainsFunc(values, func(v string) bool { return !have[v] }) {
			return m
		}
	}
	return nil
}

func TestWhatIsCollectedIsTrueAndWellNamed(t *testing.T) {
	t.Parallel()
	registry, _ := served(t, prom.Options{})
	all := complete(t, registry)
	require.Equal(t, 3.0, value(all["peregrine_calls_total"], "server", "echo", "OK").Counter.GetValue())
	require.Equal(t, 3.0, value(all["peregrine_calls_total"], "client", "echo", "OK").Counter.GetValue())
	require.Equal(t, 1.0, value(all["peregrine_calls_total"], "server", "2", "NOT_FOUND").Counter.GetValue())
	h := value(all["rpc_server_call_duration_seconds"], "echo").Histogram
	require.Equal(t, uint64(3), h.GetSampleCount())
	require.Equal(t, uint64(3), h.Bucket[len(h.Bucket)-1].GetCumulativeCount())
	require.Equal(t, 7.0, value(all["peregrine_pool_capacity"], "disk").Gauge.GetValue())
	require.Len(t, all["peregrine_peer_rtt_seconds"].Metric, 2, "one at each side")
	require.NotEmpty(t, label(all["peregrine_peer_rtt_seconds"].Metric[0], "network_peer_address"))
	require.Zero(t, value(all["peregrine_calls_in_flight"], "client").Gauge.GetValue())
	problems, err := testutil.GatherAndLint(registry)
	require.NoError(t, err)
	require.Empty(t, problems)
}

func TestNativeHistogramsHoldTheSame(t *testing.T) {
	t.Parallel()
	registry, _ := served(t, prom.Options{Native: true})
	h := value(complete(t, registry)["rpc_client_call_duration_seconds"], "echo").Histogram
	require.Equal(t, uint64(3), h.GetSampleCount())
	require.Equal(t, int32(3), h.GetSchema())
	total, last := int64(0), int64(0)
	for _, delta := range h.PositiveDelta {
		last += delta
		total += last
	}
	require.Equal(t, int64(3), total+int64(h.GetZeroCount()))
}

func TestPeersHaveAsManySeriesAsAllowed(t *testing.T) {
	t.Parallel()
	registry, _ := served(t, prom.Options{Source: metrics.Source{Peers: -1}})
	require.NotContains(t, complete(t, registry), "peregrine_peer_rtt_seconds")
}

// Each query of the dashboard asks for series that there are, by labels that these
// have.
func TestTheDashboardAsksForWhatThereIs(t *testing.T) {
	t.Parallel()
	registry, _ := served(t, prom.Options{})
	labels := map[string]map[string]bool{}
	for name, f := range complete(t, registry) {
		has := map[string]bool{"instance": true, "le": true}
		for _, m := range f.Metric {
			for _, l := range m.Label {
				has[l.GetName()] = true
			}
		}
		labels[name] = has
		if f.GetType() == dto.MetricType_HISTOGRAM {
			labels[name+"_bucket"], labels[name+"_count"], labels[name+"_sum"] = has, has, has
		}
	}
	text, err := os.ReadFile("../../docs/grafana.json")
	require.NoError(t, err)
	var dashboard struct {
		Panels []struct {
			Title   string
			Targets []struct{ Expr, LegendFormat string }
		}
	}
	require.NoError(t, json.Unmarshal(text, &dashboard))
	metric := regexp.MustCompile(`(?:peregrine|rpc)_[a-z_]+(\{|\b)`)
	selector := regexp.MustCompile(`((?:peregrine|rpc)_[a-z_]+)\{([^}]*)\}`)
	grouped := regexp.MustCompile(`by \(([^)]*)\)`)
	legend := regexp.MustCompile(`\{\{([a-z_]+)\}\}`)
	asked := map[string]bool{}
	for _, p := range dashboard.Panels {
		for _, q := range p.Targets {
			selected := selector.FindAllStringSubmatch(q.Expr, -1)
			require.NotEmpty(t, selected, "%s: %s", p.Title, q.Expr)
			wanted := []string{}
			for _, list := range grouped.FindAllStringSubmatch(q.Expr, -1) {
				wanted = append(wanted, strings.Split(list[1], ", ")...)
			}
			for _, found := range legend.FindAllStringSubmatch(q.LegendFormat, -1) {
				wanted = append(wanted, found[1])
			}
			for _, s := range selected {
				require.Contains(t, labels, s[1], p.Title)
				asked[s[1]] = true
				for _, matcher := range strings.Split(s[2], ",") {
					name, _, _ := strings.Cut(matcher, "=")
					wanted = append(wanted, strings.TrimSuffix(name, "!"))
				}
				for _, name := range wanted {
					require.Contains(t, labels[s[1]], name, "%s: %s", p.Title, q.Expr)
				}
			}
			outside := selector.ReplaceAllString(grouped.ReplaceAllString(q.Expr, ""), "")
			require.Empty(t, metric.FindAllString(outside, -1), "%s: not by instance", p.Title)
		}
	}
	require.Greater(t, len(asked), 20, slices.Sorted(maps.Keys(asked)))
}

// A scrape shows, beside the bucket that a traced call is counted in, which trace shows
// it: the client's span at the client, and the same where a server has none of its own.
func TestHistogramsLinkToTraces(t *testing.T) {
	t.Parallel()
	for _, native := range []bool{false, true} {
		exemplars := metrics.NewExemplars()
		registry, s := served(t, prom.Options{Native: native, Source: metrics.Source{Exemplars: exemplars}}, exemplars.Options()...)
		trace, err := peregrine.ParseTrace("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
		require.NoError(t, err)
		unrecorded := trace
		unrecorded.SpanID[0], unrecorded.Flags = 0xFF, 0
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		_, err = s.Call(peregrine.ContextWithTrace(ctx, trace), 1, nil, nil)
		require.NoError(t, err)
		_, err = s.Call(peregrine.ContextWithTrace(ctx, unrecorded), 1, nil, nil)
		require.NoError(t, err)

		h := value(complete(t, registry)["rpc_client_call_duration_seconds"], "echo").Histogram
		linked := slices.Clone(h.Exemplars)
		for _, b := range h.Bucket {
			if b.Exemplar != nil {
				linked = append(linked, b.Exemplar)
			}
		}
		require.Len(t, linked, 1)
		require.Positive(t, linked[0].GetValue())
		if native {
			continue // which text has no form for
		}
		page := httptest.NewRecorder()
		scrape := httptest.NewRequest("GET", "/metrics", nil)
		scrape.Header.Set("Accept", "application/openmetrics-text; version=1.0.0")
		promhttp.HandlerFor(registry, promhttp.HandlerOpts{EnableOpenMetrics: true}).ServeHTTP(page, scrape)
		require.Contains(t, page.Header().Get("Content-Type"), "openmetrics")
		link := regexp.MustCompile(`(?m)^rpc_(client|server)_call_duration_seconds_bucket\{[^}]*rpc_method="echo"[^}]*\} \d+ # \{([^}]*)\} [0-9.e-]+ [0-9.e+]+$`)
		sides := map[string]bool{}
		for _, found := range link.FindAllStringSubmatch(page.Body.String(), -1) {
			sides[found[1]] = true
			require.Contains(t, found[2], `trace_id="4bf92f3577b34da6a3ce929d0e0e4736"`)
			require.Contains(t, found[2], `span_id="00f067aa0ba902b7"`)
		}
		require.Equal(t, map[string]bool{"client": true, "server": true}, sides, page.Body.String())
	}
}
