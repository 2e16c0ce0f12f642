package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"strings"

	"golang.org/x/sys/unix"

	"strongroom/store/crash"
)

// A secret is what an operator unseals with, on its way to the server.
type secret struct {
	Secret []byte `json:"secret"`
}

// sharing says how many recovery shares there are to be.
type sharing struct {
	Shares    int `json:"shares"`
	Threshold int `json:"threshold"`
}

// pruned answers POST /seal/prune.
type pruned struct {
	Dropped []string `json:"dropped"`
	Past    []string `json:"past,omitempty"` // replicas that open none of the others, by force
}

// pruning says how retained slots are to be dropped.
type pruning struct {
	Force bool `json:"force,omitempty"` // also where another replica is locked out
}

// answers are what an operator asks of a running server about its seal. Life is the server's.
func (s *sealer) answers(life context.Context) map[string]http.HandlerFunc {
	return map[string]http.HandlerFunc{
		"GET /seal/status":  func(w http.ResponseWriter, q *http.Request) { reply(w, s.status(q.Context())) },
		"GET /seal/rewrap":  func(w http.ResponseWriter, _ *http.Request) { reply(w, s.moves.state()) },
		"POST /seal/rewrap": func(w http.ResponseWriter, q *http.Request) { reply(w, s.rewrap(life, operatorOf(q))) },
		"POST /seal/unseal": func(w http.ResponseWriter, q *http.Request) {
			answer(s, "", w, q, func(ctx context.Context, in *secret) (*unsealed, string, error) {
				defer clear(in.Secret)
				out, err := s.unsealBy(ctx, in.Secret, operatorOf(q))
				return out, "", err
			})
		},
		"POST /seal/seal": func(w http.ResponseWriter, q *http.Request) {
			answer(s, "seal seal", w, q, func(context.Context, *struct{}) (*struct{}, string, error) {
				s.shutIt()
				return &struct{}{}, "", nil
			})
		},
		"POST /seal/switch": func(w http.ResponseWriter, q *http.Request) {
			answer(s, "seal switch", w, q, func(ctx context.Context, in *target) (*changed, string, error) {
				out, err := s.switchTo(ctx, *in)
				return out, changeOf(out), err
			})
		},
		"POST /seal/rotate": func(w http.ResponseWriter, q *http.Request) {
			answer(s, "seal rotate", w, q, func(ctx context.Context, in *target) (*changed, string, error) {
				out, err := s.rotate(ctx, *in)
				return out, changeOf(out), err
			})
		},
		"POST /seal/prune": func(w http.ResponseWriter, q *http.Request) {
			answer(s, "seal prune", w, q, func(ctx context.Context, in *pruning) (*pruned, string, error) {
				out, err := s.prune(ctx, in.Force)
				if err != nil {
					return nil, "", err
				}
				return out, fmt.Sprint(out.Dropped) + forced(out.Past), nil
			})
		},
		"POST /seal/recovery": func(w http.ResponseWriter, q *http.Request) {
			answer(s, "seal recovery create", w, q, func(ctx context.Context, in *recoveryKey) (*recovered, string, error) {
				defer clear(in.Key)
				fingerprint, err := in.put(ctx, s.root)
				return &recovered{fingerprint}, fmt.Sprintf("%d of %d, recovery key %s", in.Threshold, in.Shares, fingerprint), err
			})
		},
		"POST /seal/recovery/verify": func(w http.ResponseWriter, q *http.Request) {
			answer(s, "seal recovery verify", w, q, func(ctx context.Context, in *secret) (*unsealed, string, error) {
				defer clear(in.Secret)
				out, err := s.verifyShare(ctx, string(in.Secret))
				return out, "", err
			})
		},
	}
}

func changeOf(c *changed) string {
	if c == nil {
		return ""
	}
	return c.Slot + forced(c.Past)
}

// forced is what an audit line tells of replicas that were locked out.
func forced(past []string) string {
	if len(past) == 0 {
		return ""
	}
	return "; by force, past " + strings.Join(past, "; ")
}

// mostAdminBody is in bytes.
const mostAdminBody = 64 << 10

// read reads what an operator's command says into in, or answers that it cannot.
func read(w http.ResponseWriter, q *http.Request, in any) bool {
	err := json.NewDecoder(http.MaxBytesReader(w, q.Body, mostAdminBody)).Decode(in)
	if err != nil {
		http.Error(w, "the request is not understood: "+err.Error(), http.StatusBadRequest)
	}
	return err == nil
}

// answer performs an operator's act, one at a time, with a line in the audit log and in the log, and replies. An error is text for the operator.
func answer[In, Out any](s *sealer, name string, w http.ResponseWriter, q *http.Request, f func(context.Context, *In) (*Out, string, error)) {
	in := new(In)
	if !read(w, q, in) {
		return
	}
	s.acts.Lock()
	defer s.acts.Unlock()
	ctx := context.WithoutCancel(q.Context()) // who hangs up does not leave half of it
	out, detail, err := f(ctx, in)
	if name != "" {
		(&operatorLog{s.audit, s.log}).note(name, operatorOf(q), detail, err)
	}
	crash.At("operator-answer")
	if err != nil {
		http.Error(w, err.Error(), http.StatusUnprocessableEntity)
		return
	}
	reply(w, out)
}

// operatorKey is the key of whose connection to the admin socket it is.
type operatorKey struct{}

// withOperator notes whose connection it is, as the system tells it.
func withOperator(ctx context.Context, c net.Conn) context.Context {
	who := "operator"
	if u, ok := c.(*net.UnixConn); ok {
		if raw, err := u.SyscallConn(); err == nil {
			_ = raw.Control(func(fd uintptr) {
				if cred, err := unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED); err == nil {
					who = fmt.Sprintf("uid %d", cred.Uid)
				}
			})
		}
	}
	return context.WithValue(ctx, operatorKey{}, who)
}

func operatorOf(q *http.Request) string {
	who, _ := q.Context().Value(operatorKey{}).(string)
	return who
}
