package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"

	"github.com/spf13/cobra"

	"strongroom/conf"
	"strongroom/store"
)

// storeCommand holds the commands about the database.
func storeCommand() *cobra.Command {
	cmd := group("store", "The database of keys")
	cmd.AddCommand(storeVerifyCommand())
	return cmd
}

// A verified answers GET /store/verify.
type verified struct {
	Objects int `json:"objects"`
}

func storeVerifyCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "verify",
		Short: "Open every object of the database, to see that each does",
		Long: `Open the material of every object, with the root key and the wrapping keys that the server has, and see that it is bound to the object that it
stands in: a row that was changed, moved or put back by somebody else than the server does not open, and is named. It works beside a
server that runs, and without one.`,
		Example: "  strongroomd store verify --config /etc/strongroom/strongroom.toml",
		Args:    arguments(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := loadConfig(cmd)
			if err != nil {
				return err
			}
			v, err := verifyStore(cmd.Context(), c)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%d objects, and each opens.\n", v.Objects)
			return err
		},
	}
}

// verifyStore has the server do it that runs, or does it.
func verifyStore(ctx context.Context, c *conf.Config) (v verified, err error) {
	if serving(c) {
		return v, ask(ctx, c, http.MethodGet, "/store/verify", &v)
	}
	if err := hasDatabase(c); err != nil {
		return v, err
	}
	b, err := openBackends(ctx, c, nil, slog.New(slog.DiscardHandler))
	if err != nil {
		return v, err
	}
	v.Objects, err = b.store.Verify(ctx)
	return v, errors.Join(err, b.close())
}

// verifies answers GET /store/verify.
func verifies(s *store.Store, log *operatorLog) http.HandlerFunc {
	return log.answer("", func(q *http.Request) (any, error) {
		n, err := s.Verify(q.Context())
		return verified{n}, err
	})
}
