package server

import "net/http"

// sealed is why every operation is refused, nil when none is.
func (s *Server) sealed() error {
	if s.Sealed == nil {
		return nil
	}
	return s.Sealed()
}

// The paths of HTTP at which a monitor asks whether the server would answer, and for its numbers.
const (
	healthPath  = "/healthz"
	readyPath   = "/readyz"
	metricsPath = "/metrics"
)

// monitored answers a monitor, if the request is one's. Monitors have a client certificate as everybody has, and are among the
// identities that the configuration lets ask.
func (c *conn) monitored(w http.ResponseWriter, q *http.Request) bool {
	var answer http.HandlerFunc
	switch q.URL.Path {
	case healthPath, readyPath:
		answer = c.server.health
	case metricsPath:
		answer = c.server.metrics
	default:
		return false
	}
	e := c.recognize()
	switch {
	case e != nil:
	case !c.server.Authority.Load().MayMonitor(c.identity):
		e = &httpError{status: http.StatusForbidden, text: "the client's identity is none of those that http.monitors names"}
	case q.Method != http.MethodGet && q.Method != http.MethodHead:
		e = &httpError{status: http.StatusMethodNotAllowed, text: q.URL.Path + " is asked for by GET", name: "Allow", value: "GET, HEAD"}
	}
	w.Header().Set("Cache-Control", "no-cache, no-store")
	if e != nil {
		e.write(w)
		return true
	}
	answer(w, q)
	return true
}

// health answers 200 when operations are performed, 503 and why when they are not.
func (s *Server) health(w http.ResponseWriter, q *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	status, text := http.StatusOK, "ok"
	if err := s.sealed(); err != nil {
		status, text = http.StatusServiceUnavailable, err.Error()
	}
	w.WriteHeader(status)
	if q.Method != http.MethodHead {
		w.Write([]byte(text + "\n")) // an error ends the connection, and is the client's to notice
	}
}

// metrics has the numbers told, in whatever form they have.
func (s *Server) metrics(w http.ResponseWriter, q *http.Request) {
	if s.Metrics == nil {
		http.NotFound(w, q)
		return
	}
	s.Metrics.ServeHTTP(w, q)
}
