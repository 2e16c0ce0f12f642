package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"strongroom/cache"
	"strongroom/conf"
)

// socketName is the operator's way to a running server, in its data_dir. Who may open it, mode 0600, is the operator.
const socketName = "admin.sock"

// An admin answers the operator's commands on a Unix socket, HTTP with JSON.
type admin struct {
	server *http.Server
	done   chan struct{}
}

// openAdmin listens on the socket of a data folder, and answers requests by their pattern. A socket that a server left behind is
// replaced; one that a running server answers is not.
func openAdmin(folder string, answers map[string]http.HandlerFunc, log *slog.Logger) (*admin, error) {
	path := filepath.Join(folder, socketName)
	if c, err := net.Dial("unix", path); err == nil {
		c.Close()
		return nil, fmt.Errorf("opening the admin socket: a server answers at %s already", path)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("opening the admin socket: %w", err)
	}
	old := syscall.Umask(0o177)
	l, err := net.Listen("unix", path)
	syscall.Umask(old)
	if err != nil {
		return nil, fmt.Errorf("opening the admin socket: %w", err)
	}
	mux := http.NewServeMux()
	for pattern, answer := range answers {
		mux.HandleFunc(pattern, answer)
	}
	a := &admin{server: &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second, ConnContext: withOperator}, done: make(chan struct{})}
	go func() {
		defer close(a.done)
		if err := a.server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			log.Error("the admin socket does not answer any more", "err", err)
		}
	}()
	return a, nil
}

// close ends the socket; it removes its file.
func (a *admin) close() error {
	err := a.server.Close()
	<-a.done
	return err
}

// purge empties the cache.
func purge(opened *cache.Cache, acts *operatorLog) http.HandlerFunc {
	return acts.answer("cache purge", func(*http.Request) (any, error) { return purged{Purged: opened.Purge()}, nil })
}

// purged answers POST /cache/purge.
type purged struct {
	Purged int `json:"purged"` // keys
}

func reply(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(v); err != nil {
		panic(http.ErrAbortHandler) // the operator went away
	}
}

// A noServer says that no server answers at the admin socket.
type noServer struct{ error }

// Unwrap is why.
func (n noServer) Unwrap() error { return n.error }

// askTime is how long an operator's command waits: keys of RSA take a token their time.
const askTime = 5 * time.Minute

// ask performs a request at the admin socket of the configured server.
func ask(ctx context.Context, c *conf.Config, method, path string, answer any) error {
	return tell(ctx, c, method, path, nil, answer)
}

// tell is ask with something to say. In is nil where there is nothing, and answer where none is waited for.
func tell(ctx context.Context, c *conf.Config, method, path string, in, answer any) error {
	response, err := request(ctx, c, method, path, in, askTime)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, mostAnswer))
	if err != nil {
		return err
	}
	defer clear(body)
	if answer == nil {
		return nil
	}
	return json.Unmarshal(body, answer)
}

const (
	mostAnswer  = 256 << 20 // bytes
	mostRefusal = 64 << 10
)

// request performs a request, within limit if that is not 0. An answer that is none is an error; else the caller closes it.
func request(ctx context.Context, c *conf.Config, method, path string, in any, limit time.Duration) (*http.Response, error) {
	socket := filepath.Join(c.DataDir, socketName)
	client := http.Client{Timeout: limit, Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "unix", socket)
		},
		DisableKeepAlives: true,
	}}
	var said bytes.Buffer
	if in != nil {
		if err := json.NewEncoder(&said).Encode(in); err != nil {
			return nil, err
		}
		defer clear(said.Bytes())
	}
	request, err := http.NewRequestWithContext(ctx, method, "http://admin"+path, bytes.NewReader(said.Bytes()))
	if err != nil {
		return nil, err
	}
	response, err := client.Do(request)
	switch {
	case err != nil && ctx.Err() != nil:
		return nil, noServer{fmt.Errorf("before the server answered: %w", context.Cause(ctx))}
	case err != nil:
		return nil, noServer{fmt.Errorf("no server answers at %s: is it running, and are you its operator? %w", socket, err)}
	}
	if response.StatusCode == http.StatusOK {
		return response, nil
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, mostRefusal))
	text := strings.TrimSpace(string(body))
	if response.StatusCode == http.StatusUnprocessableEntity {
		return nil, errors.Join(errors.New(text), err)
	}
	return nil, errors.Join(fmt.Errorf("the server answers %s: %s", response.Status, text), err)
}

// cacheCommand holds what an operator does with the cache of a running server.
func cacheCommand() *cobra.Command {
	cmd := group("cache", "The cache of unwrapped keys of a running server")
	cmd.AddCommand(&cobra.Command{
		Use:   "purge",
		Short: "Forget every unwrapped key; the next use of each unwraps it again",
		Long: `Forget every unwrapped key of the server that runs on this configuration. Operations that are under way finish; the next
use of each key unwraps it again.`,
		Example: "  strongroomd cache purge --config /etc/strongroom/strongroom.toml",
		Args:    arguments(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := loadConfig(cmd)
			if err != nil {
				return err
			}
			var answer purged
			if err := ask(cmd.Context(), c, http.MethodPost, "/cache/purge", &answer); err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%d unwrapped keys were forgotten.\n", answer.Purged)
			return err
		},
	})
	return cmd
}
