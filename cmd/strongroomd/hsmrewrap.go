package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"strongroom/conf"
	"strongroom/store"
)

// A rewrapping is a rotation of a wrapping key: the identifiers of the old one and the new one.
type rewrapping struct{ from, to string }

func hsmRewrapCommand() *cobra.Command {
	var r rewrapping
	cmd := &cobra.Command{
		Use:   "rewrap --from ID --to ID",
		Short: "Put all hsm-wrapped keys under another wrapping key of their token",
		Long: `Put every key of the database that the wrapping key --from wraps under the wrapping key --to of the same token: each is unwrapped
and wrapped inside the token, tested there, and then replaced in the database, one by one. It may be interrupted at any time, also by a
power failure, and is begun again by the same command: it goes on with what is left.

A server that runs on this configuration does it while it serves, and is told to by its admin socket; without one, this program does it
itself. Keys that are made meanwhile under the old wrapping key are rewrapped, too; set hsm_wrapping_key to the new one first, so that
they become none. The old wrapping key is not removed: backups of the database need it.`,
		Example: "  strongroomd hsm generate --slot 4 --key-label wrapping-2027 --purpose wrapping --config /etc/strongroom/strongroom.toml\n" +
			"  strongroomd hsm rewrap --from hsm::4::wrapping --to hsm::4::wrapping-2027 --config /etc/strongroom/strongroom.toml",
		Args: arguments(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := loadConfig(cmd)
			if err != nil {
				return err
			}
			asJSON, _ := cmd.Flags().GetBool("json")
			last, err := r.run(cmd.Context(), c, func(w store.Rewrapping) {
				if !asJSON {
					fmt.Fprintf(cmd.ErrOrStderr(), "%d rewrapped, %d to do\n", w.Rewrapped, w.Remaining)
				}
			})
			if asJSON {
				if last.Error == "" && err != nil {
					last.Error = err.Error()
				}
				return errors.Join(err, json.NewEncoder(cmd.OutOrStdout()).Encode(last))
			}
			if err != nil && last.Rewrapped+last.Remaining+last.Failed == 0 {
				return err // it is not known what there was to do
			}
			return errors.Join(err, r.tell(cmd.OutOrStdout(), &last))
		},
	}
	cmd.Flags().StringVar(&r.from, "from", "", "`ID` of the wrapping key that is used now (required)")
	cmd.Flags().StringVar(&r.to, "to", "", "`ID` of the one to be used (required)")
	needed(cmd, "from", "to")
	return cmd
}

// tell says how it ended.
func (r *rewrapping) tell(out io.Writer, w *store.Rewrapping) error {
	if w.Rewrapped+w.Remaining+w.Failed == 0 {
		_, err := fmt.Fprintf(out, "No key is wrapped by %s.\n", plain(r.from))
		return err
	}
	var text strings.Builder
	fmt.Fprintf(&text, "Rewrapped from %s to %s: %d. Left: %d.\n", plain(r.from), plain(r.to), w.Rewrapped, w.Remaining)
	for _, f := range w.Failures {
		fmt.Fprintln(&text, "  "+plain(f))
	}
	_, err := io.WriteString(out, text.String())
	if w.Failed > 0 {
		err = errors.Join(fmt.Errorf("%d keys could not be rewrapped, and stay as they are", w.Failed), err)
	}
	return err
}

// run has the server do it that runs, or does it.
func (r *rewrapping) run(ctx context.Context, c *conf.Config, report func(store.Rewrapping)) (store.Rewrapping, error) {
	if serving(c) {
		return r.ask(ctx, c, report)
	}
	b, err := openBackends(ctx, c, nil, slog.New(slog.DiscardHandler))
	if err != nil {
		return store.Rewrapping{}, err
	}
	done, err := b.store.Rewrap(ctx, r.from, r.to, seldom(report))
	return done, errors.Join(err, noteHere(c, actRewrap, r.detail(&done), err), b.close())
}

// actRewrap is the name of the act in the audit log.
const actRewrap = "hsm rewrap"

// detail is what the audit log says of it.
func (r *rewrapping) detail(done *store.Rewrapping) string {
	return fmt.Sprintf("%s to %s: %d rewrapped, %d left, %d failed", r.from, r.to, done.Rewrapped, done.Remaining, done.Failed)
}

// seldom lets through what comes a second after what was let through last.
func seldom(report func(store.Rewrapping)) func(store.Rewrapping) {
	last := time.Now()
	return func(w store.Rewrapping) {
		if time.Since(last) >= time.Second {
			last = time.Now()
			report(w)
		}
	}
}

// ask has a running server do it, which answers a line of JSON now and then, and one at the end.
func (r *rewrapping) ask(ctx context.Context, c *conf.Config, report func(store.Rewrapping)) (last store.Rewrapping, err error) {
	response, err := request(ctx, c, http.MethodPost, "/hsm/rewrap?"+url.Values{"from": {r.from}, "to": {r.to}}.Encode(), nil, 0)
	if err != nil {
		return last, err
	}
	defer response.Body.Close()
	ended := false
	lines := bufio.NewScanner(response.Body)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var line struct {
			store.Rewrapping
			End bool `json:"end"`
		}
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
			return last, fmt.Errorf("reading the server's answer: %w", err)
		}
		if last, ended = line.Rewrapping, line.End; !ended {
			report(last)
		}
	}
	switch {
	case lines.Err() != nil:
		return last, fmt.Errorf("the server's answer broke off: %w", lines.Err())
	case !ended:
		return last, errors.New("the server's answer broke off: begin again, it goes on with what is left")
	case last.Error != "":
		return last, errors.New(last.Error)
	}
	return last, nil
}

// rewraps answers POST /hsm/rewrap. It ends with the request, and with the server.
func (b *backends) rewraps(acts *operatorLog) http.HandlerFunc {
	return func(w http.ResponseWriter, q *http.Request) {
		r := rewrapping{q.URL.Query().Get("from"), q.URL.Query().Get("to")}
		e, out := json.NewEncoder(w), http.NewResponseController(w)
		w.Header().Set("Content-Type", "application/x-ndjson")
		done, err := b.store.Rewrap(q.Context(), r.from, r.to, seldom(func(w store.Rewrapping) {
			_ = e.Encode(w) // an operator who went away ends the request
			_ = out.Flush()
		}))
		if err != nil {
			done.Error = err.Error()
		}
		acts.note(actRewrap, operatorOf(q), r.detail(&done), err)
		_ = e.Encode(struct {
			store.Rewrapping
			End bool `json:"end"`
		}{done, true})
	}
}
