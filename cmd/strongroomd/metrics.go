package main

import (
	"log/slog"
	"net/http"
	"runtime"
	"strings"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"strongroom/cache"
	"strongroom/kmip/server"
)

// metrics tells Prometheus what the parts of the server count by themselves: nothing is counted for it, and asking costs nobody a
// lock that requests wait for, nor a token a call.
type metrics struct {
	server   atomic.Pointer[server.Server] // nil before there is one
	backends *backends
	opened   *cache.Cache
	audit    *server.Audit
	sealer   *sealer
	keys     *keyring
}

// mostScrapes are answered at once.
const mostScrapes = 4

// handler answers in Prometheus' text format.
func (m *metrics) handler(log *slog.Logger) http.Handler {
	registry := prometheus.NewRegistry()
	registry.MustRegister(m, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return promhttp.HandlerFor(registry, promhttp.HandlerOpts{
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelError), MaxRequestsInFlight: mostScrapes,
	})
}

// Describe tells of nothing before it is asked: which slots and modules there are is the configuration's to say.
func (m *metrics) Describe(chan<- *prometheus.Desc) {}

// Collect asks all parts.
func (m *metrics) Collect(ch chan<- prometheus.Metric) {
	send(ch, buildInfo, 1, version(), runtime.Version())
	if s := m.server.Load(); s != nil {
		collectServer(ch, s)
	}
	audited, kept, seal := m.audit.Counts(), m.backends.store.Counts(), m.sealer.counts()
	collect(ch, auditSeries, &audited)
	collect(ch, gateSeries, m.keys.gate)
	opened := m.opened.Counts()
	collect(ch, cacheSeries, &opened)
	collect(ch, storeSeries, &kept)
	collectCommits(ch, &kept)
	collect(ch, sealSeries, &seal)
	for state, n := range seal.Slots {
		send(ch, sealSlots, float64(n), string(state))
	}
	if e := m.backends.entropy; e != nil {
		n := e.Counts()
		collect(ch, entropySeries, &n)
	}
	if h := m.backends.hsm; h != nil {
		collectTokens(ch, h.Counts())
	}
}

// A series is one number of what T counts.
type series[T any] struct {
	desc  *prometheus.Desc
	kind  prometheus.ValueType
	value func(*T) any
}

// of makes a series. As Prometheus has it, the name of what only grows ends with "_total".
func of[T any](name, help string, value func(*T) any, labels ...string) series[T] {
	kind := prometheus.GaugeValue
	if strings.HasSuffix(name, "_total") {
		kind = prometheus.CounterValue
	}
	return series[T]{described(name, help, labels...), kind, value}
}

// described is the description of a metric of this program.
func described(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("strongroom_"+name, help, labels, nil)
}

// collect sends what each series has of n.
func collect[T any](ch chan<- prometheus.Metric, all []series[T], n *T, labels ...string) {
	for _, s := range all {
		if v, ok := number(s.value(n)); ok {
			ch <- prometheus.MustNewConstMetric(s.desc, s.kind, v, labels...)
		}
	}
}

// send sends one gauge.
func send(ch chan<- prometheus.Metric, d *prometheus.Desc, v float64, labels ...string) {
	ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
}

// number is a value in the units of Prometheus: durations in seconds, times in seconds since 1970. Nothing, and a time that is not there, are none.
func number(v any) (n float64, there bool) {
	switch v := v.(type) {
	case bool:
		if v {
			return 1, true
		}
		return 0, true
	case int:
		return float64(v), true
	case int64:
		return float64(v), true
	case uint64:
		return float64(v), true
	case time.Duration:
		return v.Seconds(), true
	case time.Time:
		return float64(v.UnixMilli()) / 1000, !v.IsZero()
	}
	return 0, false
}
