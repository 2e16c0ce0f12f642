package main

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"

	"strongroom/conf"
	"strongroom/kmip/server"
)

// listeners are what the server listens on.
type listeners struct {
	all   []net.Listener
	ended chan error // one of each, when it has ended
}

// listen listens on every address of the configuration, or on none, and then serves.
func listen(c *conf.Config, s *server.Server, log *slog.Logger) (*listeners, error) {
	all := []struct {
		what, address string
		serve         func(net.Listener) error
	}{
		{"serving KMIP", c.KMIP.Listen, s.Serve},
		{"serving KMIP over HTTPS", c.HTTP.Listen, s.ServeHTTPS},
	}
	if c.HTTP.Listen == "" {
		all = all[:1]
	}
	l := &listeners{ended: make(chan error, len(all))}
	for _, x := range all {
		n, err := net.Listen("tcp", x.address)
		if err != nil {
			l.close()
			return nil, fmt.Errorf("listening: %w", err)
		}
		l.all = append(l.all, n)
	}
	for i, n := range l.all {
		go func() { l.ended <- all[i].serve(n) }()
		log.Info(all[i].what, "address", n.Addr().String(), "pid", os.Getpid(), "version", version())
	}
	return l, nil
}

func (l *listeners) close() {
	for _, n := range l.all {
		n.Close()
	}
}

// wait waits until all have ended.
func (l *listeners) wait() (err error) {
	for range l.all {
		err = errors.Join(err, <-l.ended)
	}
	return err
}
