package tests

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/stretchr/testify/require"

	"strongroom/hsm/hsmtest"
	"strongroom/kmip/ttlv"
)

// A scrape is what the server told once, by the names of the metrics.
type scrape map[string]*dto.MetricFamily

// scrapeOf reads the text format, as Prometheus does.
func scrapeOf(t *testing.T, text []byte) scrape {
	t.Helper()
	p := expfmt.NewTextParser(model.LegacyValidation)
	all, err := p.TextToMetricFamilies(bytes.NewReader(text))
	require.NoError(t, err, "%s", text)
	return all
}

// scrape asks at the admin socket.
func (s *site) scrape() scrape {
	s.t.Helper()
	return scrapeOf(s.t, s.operatorGet("/metrics"))
}

// operatorGet asks the admin socket.
func (s *site) operatorGet(path string) []byte {
	s.t.Helper()
	c := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", s.path("data", "admin.sock"))
	}}}
	r, err := c.Get("http://admin" + path)
	require.NoError(s.t, err)
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	require.NoError(s.t, err)
	require.Equal(s.t, http.StatusOK, r.StatusCode, "%s", body)
	return body
}

// value is that of a metric with these labels, names and values in turn; of a histogram or summary it is the count.
func (s scrape) value(t *testing.T, name string, labels ...string) float64 {
	t.Helper()
	family := s["strongroom_"+name]
	require.NotNil(t, family, name)
	for _, m := range family.Metric {
		if !slices.EqualFunc(m.Label, slices.Collect(slices.Chunk(labels, 2)), func(l *dto.LabelPair, want []string) bool {
			return l.GetName() == want[0] && l.GetValue() == want[1]
		}) {
			continue
		}
		switch family.GetType() {
		case dto.MetricType_COUNTER:
			return m.GetCounter().GetValue()
		case dto.MetricType_HISTOGRAM:
			return float64(m.GetHistogram().GetSampleCount())
		case dto.MetricType_SUMMARY:
			return float64(m.GetSummary().GetSampleCount())
		}
		return m.GetGauge().GetValue()
	}
	t.Fatalf("%s has nothing with the labels %v: %v", name, labels, family)
	return 0
}

// TestMetrics scrapes while clients work, over the listener, as Prometheus would.
func TestMetrics(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.addClient("prometheus")
	s.configure("# [http]\n", "[http]\nmonitors = [\"prometheus\"]\n")
	web := s.serveHTTPS()
	get := func(name, path string) (int, []byte) {
		c := &http.Client{Transport: &http.Transport{TLSClientConfig: s.tls(name), DisableKeepAlives: true}}
		r, err := c.Get("https://" + web + path)
		require.NoError(t, err)
		defer r.Body.Close()
		body, err := io.ReadAll(r.Body)
		require.NoError(t, err)
		return r.StatusCode, body
	}
	for _, path := range []string{"/metrics", "/healthz", "/readyz"} {
		code, body := get("admin", path)
		require.Equal(t, http.StatusForbidden, code, "%s: %s", path, body)
		code, _ = get("prometheus", path)
		require.Equal(t, http.StatusOK, code, path)
	}

	admin := s.client("admin", ttlv.V2_1)
	create(t, admin, aes("hsm::4::kek"))
	create(t, admin, wrappedBy(aes("secret-name"), "hsm::4::kek"))
	s.must(s.strongroomd("cache", "purge", "--config", s.path("strongroom.toml")))
	for range 5 {
		works(t, admin, "secret-name")
	}
	_, err := encrypt(t, admin, "nobody's", []byte("data"))
	require.Error(t, err)

	_, text := get("prometheus", "/metrics")
	for _, private := range []string{"secret-name", "kek", "nobody's", "admin"} {
		require.NotContains(t, string(text), private)
	}
	problems, err := promlint.New(bytes.NewReader(text)).Lint()
	require.NoError(t, err)
	require.Empty(t, problems)

	n := scrapeOf(t, text)
	require.EqualValues(t, 2, n.value(t, "operations_total", "operation", "Create", "result", "success"))
	require.EqualValues(t, 5, n.value(t, "operations_total", "operation", "Encrypt", "result", "success"))
	require.EqualValues(t, 1, n.value(t, "operations_total", "operation", "Encrypt", "result", "failed"))
	require.EqualValues(t, 6, n.value(t, "operation_duration_seconds", "operation", "Encrypt"))
	require.EqualValues(t, 1, n.value(t, "operation_failures_total", "reason", "ObjectNotFound"))
	require.Zero(t, n.value(t, "operation_failures_total", "reason", "GeneralFailure"))
	require.EqualValues(t, 1, n.value(t, "store_objects_created_total"))
	require.EqualValues(t, 1, n.value(t, "cache_keys"))
	require.EqualValues(t, 9, n.value(t, "cache_hits_total"), "five encryptions and decryptions, of which the first unwraps")
	require.EqualValues(t, 1, n.value(t, "cache_unwraps_total")-n.value(t, "cache_unwrap_failures_total"))
	require.EqualValues(t, 1, n.value(t, "hsm_logins_total", "slot", "4"))
	require.EqualValues(t, 1, n.value(t, "hsm_up", "slot", "4"))
	require.Zero(t, n.value(t, "sealed"))
	require.EqualValues(t, 1, n.value(t, "seal_slots", "state", "active"))
	require.Greater(t, n.value(t, "certificate_expiry_timestamp_seconds"), float64(time.Now().Unix()))
	require.Contains(t, n, "go_goroutines")
	require.Contains(t, n, "process_resident_memory_bytes")

	s.must(s.keys("lock"))
	n = s.scrape()
	require.EqualValues(t, 1, n.value(t, "keys_locked"))
	require.NotContains(t, n, "strongroom_certificate_expiry_timestamp_seconds")
	s.must(s.keys("unlock"))
	s.must(s.seal("seal"))
	require.EqualValues(t, 1, s.scrape().value(t, "sealed"))
}

// TestMetricsTable: what the guide lists is what there is, of each type.
func TestMetricsTable(t *testing.T) {
	t.Parallel()
	s := siteWith(t)
	shim := s.throughShim("process")
	s.write("strongroom.toml", append(s.read("strongroom.toml"), "\n[entropy]\nmode = \"augmentation\"\nslot = 4\n"...))
	s.configure("strategy        = \"software\"", "health_interval = \"100ms\"\nstrategy        = \"software\"")
	s.serve()
	works(t, s.client("admin", ttlv.V2_1), create(t, s.client("admin", ttlv.V2_1), aes("k")))
	require.Eventually(t, func() bool { return s.scrape().value(t, "hsm_health_checks_total", "slot", "4") > 1 }, 30*time.Second, 50*time.Millisecond)
	require.Positive(t, s.scrape().value(t, "entropy_draws_total"))
	there := map[string]string{}
	for name, family := range s.scrape() {
		if bare, ours := strings.CutPrefix(name, "strongroom_"); ours {
			there[bare] = strings.ToLower(family.GetType().String())
		}
	}
	guide, err := os.ReadFile("../docs/operations.md")
	require.NoError(t, err)
	listed := map[string]string{}
	for _, row := range regexp.MustCompile("(?m)^\\| (`[a-z_]+(?:\\{[a-z,]+\\})?`.*?) \\| (counter|gauge|histogram|summary) \\|").FindAllSubmatch(guide, -1) {
		for _, name := range regexp.MustCompile("`([a-z_]+)").FindAllSubmatch(row[1], -1) {
			listed[string(name[1])] = string(row[2])
		}
	}
	require.Equal(t, listed, there)

	restarts := func() float64 { return s.scrape().value(t, "hsm_worker_restarts_total", "library", shim.Library) }
	require.Zero(t, restarts())
	shim.Do("GenerateRandom", hsmtest.Crash, 0, 0, 1)
	require.Eventually(t, func() bool { return restarts() == 1 }, 30*time.Second, 50*time.Millisecond)
	require.Eventually(t, func() bool { return s.scrape().value(t, "hsm_up", "slot", "4") == 1 }, 30*time.Second, 50*time.Millisecond)
	require.Positive(t, s.scrape().value(t, "hsm_recoveries_total", "slot", "4"))
}
