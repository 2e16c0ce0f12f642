package server

import "net/http"

// sealed is why every operation is refused, nil when none is.
func (s *Server) sealed() error {
	if s.Sealed == nil {
		return nil
	}
	return s.Sealed()
}

// The paths of HTTP at which a monitor asks whether the server would answer.
const (
	healthPath = "/healthz"
	readyPath  = "/readyz"
)

// health answers a monitor: 200 when operations are performed, 503 and why when they are not. Monitors have a client certificate
// as everybody has, and need no right.
func (s *Server) health(w http.ResponseWriter, q *http.Request) bool {
	if q.URL.Path != healthPath && q.URL.Path != readyPath {
		return false
	}
	h := w.Header()
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("Cache-Control", "no-cache, no-store")
	status, text := http.StatusOK, "ok"
	if q.Method != http.MethodGet && q.Method != http.MethodHead {
		h.Set("Allow", "GET, HEAD")
		status, text = http.StatusMethodNotAllowed, "health is asked for by GET"
	} else if err := s.sealed(); err != nil {
		status, text = http.StatusServiceUnavailable, err.Error()
	}
	w.WriteHeader(status)
	if q.Method != http.MethodHead {
		w.Write([]byte(text + "\n")) // an error ends the connection, and is the client's to notice
	}
	return true
}
