package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"strongroom/conf"
	"strongroom/hsm"
)

// What the database keeps of keys in tokens is the running server's: the commands here ask it, at its admin socket. Where none runs
// they do it themselves.

// An estate is what an operator may ask of the keys of a slot, beside the token's own.
type estate interface {
	Adopt(ctx context.Context, number uint32, a hsm.Adoption) ([]hsm.Adopted, error)
	Prune(ctx context.Context, number uint32, dry, even, another bool) ([]hsm.Left, error)
	Recorded(ctx context.Context, number uint32) ([]hsm.Left, error)
}

// answerEstate has the admin socket answer for it. What changes something is noted.
func answerEstate(answers map[string]http.HandlerFunc, e estate, o *operatorLog) {
	answer := func(pattern, act string, f func(q *http.Request, number uint32) (any, error)) {
		answers[pattern] = func(w http.ResponseWriter, q *http.Request) {
			name := act
			if q.FormValue("dry") != "" {
				name = ""
			}
			o.answer(name, func(q *http.Request) (any, error) {
				number, err := strconv.ParseUint(q.FormValue("slot"), 10, 32)
				if err != nil {
					return nil, err
				}
				return f(q, uint32(number))
			})(w, q)
		}
	}
	answer("POST /hsm/adopt", actAdopt, func(q *http.Request, number uint32) (any, error) {
		var a hsm.Adoption
		if err := json.NewDecoder(http.MaxBytesReader(nil, q.Body, 16<<20)).Decode(&a); err != nil {
			return nil, err
		}
		a.DryRun = q.FormValue("dry") != ""
		return e.Adopt(q.Context(), number, a)
	})
	answer("POST /hsm/prune", actPrune, func(q *http.Request, number uint32) (any, error) {
		return e.Prune(q.Context(), number, q.FormValue("dry") != "", q.FormValue("even") != "", q.FormValue("another") != "")
	})
	answer("GET /hsm/records", "", func(q *http.Request, number uint32) (any, error) { return e.Recorded(q.Context(), number) })
}

// What audit lines name.
const (
	actAdopt = "hsm adopt"
	actPrune = "hsm prune"
)

// A remoteEstate is the running server's.
type remoteEstate struct{ c *conf.Config }

func (r remoteEstate) Adopt(ctx context.Context, number uint32, a hsm.Adoption) (list []hsm.Adopted, err error) {
	return list, tell(ctx, r.c, http.MethodPost, "/hsm/adopt?"+values(number, map[string]bool{"dry": a.DryRun}), a, &list)
}

func (r remoteEstate) Prune(ctx context.Context, number uint32, dry, even, another bool) (list []hsm.Left, err error) {
	said := map[string]bool{"dry": dry, "even": even, "another": another}
	return list, tell(ctx, r.c, http.MethodPost, "/hsm/prune?"+values(number, said), nil, &list)
}

func (r remoteEstate) Recorded(ctx context.Context, number uint32) (list []hsm.Left, err error) {
	return list, tell(ctx, r.c, http.MethodGet, "/hsm/records?"+values(number, nil), nil, &list)
}

// values are the parameters of a request.
func values(number uint32, said map[string]bool) string {
	v := url.Values{"slot": {strconv.FormatUint(uint64(number), 10)}}
	for name, yes := range said {
		if yes {
			v.Set(name, "1")
		}
	}
	return v.Encode()
}

// withEstate has f use the estate of the tokens: the running server's, or that which is opened here.
func withEstate(cmd *cobra.Command, f func(context.Context, estate) error) (err error) {
	c, err := loadConfig(cmd)
	if err != nil {
		return err
	}
	if serving(c) {
		return f(cmd.Context(), remoteEstate{c})
	}
	if err := hasDatabase(c); err != nil {
		return err
	}
	b, err := openBackends(cmd.Context(), c, nil, slog.New(slog.DiscardHandler)) // what is kept of keys is authenticated under the root key
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.close()) }()
	return noting(c, func(o *operatorLog) error { return f(cmd.Context(), &noted{b.hsm, o}) })
}

// A noted estate writes what changes something into the audit log.
type noted struct {
	*hsm.HSM
	log *operatorLog
}

func (n *noted) Adopt(ctx context.Context, number uint32, a hsm.Adoption) ([]hsm.Adopted, error) {
	list, err := n.HSM.Adopt(ctx, number, a)
	if !a.DryRun {
		n.log.note(actAdopt, thisUser(), "", err)
	}
	return list, err
}

func (n *noted) Prune(ctx context.Context, number uint32, dry, even, another bool) ([]hsm.Left, error) {
	list, err := n.HSM.Prune(ctx, number, dry, even, another)
	if !dry {
		n.log.note(actPrune, thisUser(), "", err)
	}
	return list, err
}

func hsmAdoptCommand() *cobra.Command {
	var a hsm.Adoption
	var clean bool
	cmd := &cobra.Command{
		Use:   "adopt [--slot N] {LABEL... | --all}",
		Short: "Give keys that other tools made the dates, state, links, names and tags of others",
		Long: `Give keys of a token, which pkcs11-tool or another program made, what the database keeps of keys: dates, a state, a usage mask as the
token's flags allow, links between the halves of a pair, names and tags. Such keys can be used before, by their label; what is
kept of them is what Locate finds them by, and what Activate, Revoke and Re-key change. A key may be adopted again: what it has stays.

A key that has the name of another one, which something is stored of, is refused to everybody until the operator says what it is: with
--replace it is a new key, and what is stored of the other is forgotten, its grants with it; with --same-key it is that one all the
same, and what is stored stays.

LABEL is that of the key, or its whole identifier as strongroomd hsm keys shows it; the public half of a private key goes with it. A
running server does it; where none runs the command does, on the database itself.`,
		Example: "  strongroomd hsm adopt --all --dry-run\n  strongroomd hsm adopt --slot 4 payments --name payments-2026 --tag finance\n  strongroomd hsm adopt --slot 4 payments --replace",
		RunE: func(cmd *cobra.Command, args []string) error {
			if a.All == (len(args) > 0) {
				return misuse{errors.New("say which keys: LABELs, or --all")}
			}
			if a.Replace && a.SameKey {
				return misuse{errors.New("--replace and --same-key exclude one another")}
			}
			_, number, err := slotOf(cmd, nil)
			if err != nil {
				return err
			}
			a.Labels = args
			return withEstate(cmd, func(ctx context.Context, e estate) error {
				list, err := e.Adopt(ctx, number, a)
				if err != nil {
					return err
				}
				err = show(cmd, list, "UNIQUE IDENTIFIER\tCLASS\tTYPE\tBITS\tUSAGE\tNAMES\tTAGS\tRESULT", func(k hsm.Adopted) []any {
					return []any{k.UniqueIdentifier, k.Class, k.Type, k.Bits, dash(strings.Join(k.Usage, ",")), dash(strings.Join(k.Names, ",")), dash(strings.Join(k.Tags, ",")), k.Result}
				})
				others := slices.DeleteFunc(list, func(k hsm.Adopted) bool { return k.Result != hsm.ResultAnother })
				if err == nil && len(others) > 0 {
					err = fmt.Errorf("keys that are not the ones that something is stored of: %d, %s for one: say --replace where they are new ones, --same-key where they are not",
						len(others), plain(others[0].UniqueIdentifier))
				}
				if err != nil || !clean {
					return err
				}
				left, err := e.Prune(ctx, number, a.DryRun, false, a.Token)
				for _, l := range left {
					fmt.Fprintf(cmd.ErrOrStderr(), "%s is not in the token%s\n", plain(l.UniqueIdentifier), map[bool]string{true: ": what was stored of it is forgotten"}[l.Forgotten])
				}
				return err
			})
		},
	}
	slotFlag(cmd)
	f := cmd.Flags()
	f.BoolVar(&a.All, "all", false, "every key that has an identifier")
	f.StringArrayVar(&a.Names, "name", nil, "`NAME` attribute, for one key or pair (may be repeated)")
	f.StringArrayVarP(&a.Tags, "tag", "t", nil, "`WORD` to find them by (may be repeated)")
	f.BoolVar(&a.DryRun, "dry-run", false, "tell what would be done, and change nothing")
	f.BoolVar(&clean, "clean", false, "forget what is stored of keys that are gone, as hsm prune does")
	f.BoolVar(&a.Replace, "replace", false, "keys that are not the ones that something is stored of are new ones: forget that, grants included")
	f.BoolVar(&a.SameKey, "same-key", false, "they are the ones that something is stored of, whatever they show")
	f.BoolVar(&a.Token, "new-token", false, "the token is another one than before, and has the keys of that one")
	return cmd
}

func hsmPruneCommand() *cobra.Command {
	var dry, even, another bool
	cmd := &cobra.Command{
		Use:   "prune [--slot N]",
		Short: "Forget what is stored of keys that are not in their token any more",
		Long: `Forget the names, dates, states and grants that are stored of keys which somebody destroyed in the token, also where another key has
the name by now: that one is then a key of which nothing is stored. Nothing is forgotten while
the token is away, when another token sits in the slot, or when none of the keys is in it: a token that was restored may need a
moment. A running server does it; where none runs the command does, on the database itself.`,
		Example: "  strongroomd hsm prune --dry-run\n  strongroomd hsm prune --slot 4",
		Args:    arguments(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, number, err := slotOf(cmd, nil)
			if err != nil {
				return err
			}
			return withEstate(cmd, func(ctx context.Context, e estate) error {
				left, err := e.Prune(ctx, number, dry, even, another)
				if err != nil {
					return err
				}
				return show(cmd, left, "UNIQUE IDENTIFIER\tKEY\tNAMES\tGRANTS\tFORGOTTEN", func(l hsm.Left) []any {
					return []any{l.UniqueIdentifier, map[bool]string{true: "another", false: "gone"}[l.Another], dash(strings.Join(l.Names, ",")), l.Grants,
						map[bool]string{true: "yes", false: "no"}[l.Forgotten]}
				})
			})
		},
	}
	slotFlag(cmd)
	f := cmd.Flags()
	f.BoolVar(&dry, "dry-run", false, "tell what would be forgotten, and forget nothing")
	f.BoolVar(&even, "even-all", false, "although none of the keys is in the token")
	f.BoolVar(&another, "new-token", false, "the token is another one than before, and has the keys of that one")
	return cmd
}

// records marks the keys of which the database keeps something, and adds those that are gone. Where nobody can tell, as the caller
// may not open the server's socket, it says so.
func records(cmd *cobra.Command, number uint32, keys []hsm.KeyInfo) []hsm.KeyInfo {
	var kept []hsm.Left
	err := withEstate(cmd, func(ctx context.Context, e estate) (err error) {
		kept, err = e.Recorded(ctx, number)
		return err
	})
	if err != nil {
		fmt.Fprintf(cmd.ErrOrStderr(), "what is stored of the keys is not shown: %v\n", err)
		return keys
	}
	for _, k := range kept {
		at := slices.IndexFunc(keys, func(i hsm.KeyInfo) bool { return i.UniqueIdentifier == k.UniqueIdentifier })
		if at < 0 {
			keys = append(keys, hsm.KeyInfo{UniqueIdentifier: k.UniqueIdentifier, Class: classGone, Usage: []string{}})
			at = len(keys) - 1
		}
		keys[at].Recorded, keys[at].Names, keys[at].Grants = true, k.Names, k.Grants
		keys[at].Fingerprint, keys[at].Another = k.Fingerprint, k.Another
		if keys[at].Bits <= 0 { // SoftHSM does not tell, of a key that it unwrapped
			keys[at].Bits = k.Bits
		}
	}
	return keys
}
