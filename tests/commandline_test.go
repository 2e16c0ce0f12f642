package tests

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestCommandLineInToken runs scripts of the user's command line against a server with a token. Each has a site of its own, and
// the users admin, who owns the keys in the token, and bob.
func TestCommandLineInToken(t *testing.T) {
	t.Parallel()
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(e *testscript.Env) error {
			s := newSite(t)
			s.addClient("bob")
			s.serve()
			e.Setenv("PATH", bin+string(filepath.ListSeparator)+os.Getenv("PATH"))
			e.Setenv("STRONGROOM_CONFIG", s.path("clients", "admin.toml"))
			e.Setenv("BOB", s.path("clients", "bob.toml"))
			return nil
		},
	})
}
