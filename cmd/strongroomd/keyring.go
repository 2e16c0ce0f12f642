package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"slices"
	"sync"

	"strongroom/conf"
	"strongroom/kmip"
	"strongroom/kmip/server"
	"strongroom/store/seal"
)

// errKeysLocked is what clients hear while the server's keys are locked.
var errKeysLocked = &kmip.Error{Reason: kmip.ResultReasonGeneralFailure, Message: "the server keys are locked"}

// keyFiles lists the server's key files: those of [keys], and the TLS key when it is in an envelope.
func keyFiles(c *conf.Config) []seal.KeyFile {
	var list []seal.KeyFile
	for _, path := range c.Keys.Files {
		list = append(list, seal.KeyFile{Name: c.KeyName(path), Path: path})
	}
	private := seal.KeyFile{Name: c.KeyName(c.KMIP.PrivateKey), Path: c.KMIP.PrivateKey}
	if state, err := private.State(); err == nil && state == seal.FileEncrypted && !slices.Contains(list, private) {
		list = append(list, private)
	}
	return list
}

// A keyring has the server's key files while it serves, and the gate that depends on them.
type keyring struct {
	root *seal.Root
	gate *server.Gate
	log  *slog.Logger

	mu     sync.Mutex // one change at a time
	config *conf.Config
	files  *seal.Files
}

// openKeyring unlocks the key files when the root key is in memory, and makes the gate; while they are locked it lets nobody in.
func openKeyring(ctx context.Context, c *conf.Config, root *seal.Root, log *slog.Logger) (*keyring, error) {
	k := &keyring{root: root, log: log, config: c, files: seal.NewFiles(root, keyFiles(c))}
	if root.Unsealed() {
		if _, err := k.files.Unlock(ctx); err != nil {
			return nil, fmt.Errorf("unlocking the server's key files: %w", err)
		}
	}
	credentials, err := credentialsOf(c, k.reader(k.files), log)
	if err != nil {
		return nil, err
	}
	warnOfSuites(credentials, log)
	k.gate = server.NewGate(*credentials)
	k.tell(credentials)
	return k, nil
}

// tell closes the gate where there is no certificate, opens it where there is, and logs where the key came from.
func (k *keyring) tell(credentials *server.Credentials) {
	if len(credentials.Certificate.Certificate) == 0 {
		k.gate.Lock(errKeysLocked)
		k.log.Warn("the server keys are locked: KMIP is refused until strongroomd keys unlock")
		return
	}
	k.gate.Unlock()
	source := "file"
	if _, err := os.Lstat(k.config.KMIP.PrivateKey); errors.Is(err, fs.ErrNotExist) {
		source = "memory"
	}
	k.log.Info("the server's private key", "key source", source, "file", k.config.KMIP.PrivateKey)
}

// reader reads key files from memory, and others from where they are.
func (k *keyring) reader(files *seal.Files) func(string) ([]byte, error) {
	return func(path string) ([]byte, error) {
		if content, ok, err := files.Held(path); ok {
			return content, err
		}
		return os.ReadFile(path)
	}
}

// unlock puts the key files into memory, and opens the gate.
func (k *keyring) unlock(ctx context.Context) (int, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if !k.root.Unsealed() {
		return 0, seal.ErrSealed
	}
	n, err := k.files.Unlock(ctx)
	if err != nil {
		return 0, err
	}
	credentials, err := credentialsOf(k.config, k.reader(k.files), k.log)
	if err != nil {
		return 0, err
	}
	k.gate.Replace(*credentials)
	k.tell(credentials)
	return n, nil
}

// lock closes the gate, to connections that are open too, and clears the keys. What crypto/tls made of the TLS key is left to the
// garbage collector.
func (k *keyring) lock() (int, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, f := range k.files.List() {
		if state, err := f.State(); err != nil {
			return 0, err
		} else if state == seal.FileClear || state == seal.FileBoth {
			return 0, fmt.Errorf("%s is there in clear: run strongroomd keys encrypt first", f.Path)
		}
	}
	if len(k.files.List()) == 0 {
		return 0, errNoKeyFiles
	}
	k.gate.Lock(errKeysLocked)
	n := k.files.Lock()
	credentials, err := credentialsOf(k.config, k.reader(k.files), k.log)
	if err == nil {
		k.gate.Replace(*credentials)
		k.gate.Lock(errKeysLocked) // also where the TLS key is none of the files
	}
	k.log.Warn("the server keys were locked by the operator: KMIP is refused until strongroomd keys unlock")
	return n, err
}

// reload takes over another configuration, or the files as they are now. When that fails, all stays as it was.
func (k *keyring) reload(ctx context.Context, c *conf.Config) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	files := seal.NewFiles(k.root, keyFiles(c))
	if k.files.Unlocked() && k.root.Unsealed() {
		if _, err := files.Unlock(ctx); err != nil {
			return fmt.Errorf("unlocking the server's key files: %w", err)
		}
	}
	credentials, err := credentialsOf(c, k.reader(files), k.log)
	if err != nil {
		files.Lock()
		return err
	}
	warnOfSuites(credentials, k.log)
	old := k.files
	k.config, k.files = c, files
	old.Lock()
	k.gate.Replace(*credentials)
	if files.Unlocked() {
		k.tell(credentials)
	}
	return nil
}

func (k *keyring) close() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.files.Lock()
}

// configuration is the present one.
func (k *keyring) configuration() *conf.Config {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.config
}

// now is the files of the present configuration.
func (k *keyring) now() *seal.Files {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.files
}

// state is how the key files are, and what the server does with them.
func (k *keyring) state() (*keyState, error) {
	files := k.now()
	s, err := keyStatus(files.List())
	if err == nil {
		s.Serving, s.Unlocked, s.Sealed = true, files.Unlocked(), !k.root.Unsealed()
	}
	return s, err
}

// answers are what an operator asks of a running server about its keys.
func (k *keyring) answers(log *operatorLog) map[string]http.HandlerFunc {
	count := func(act string, f func(*http.Request) (int, error)) http.HandlerFunc {
		return log.answer(act, func(q *http.Request) (any, error) {
			n, err := f(q)
			return counted{n}, err
		})
	}
	return map[string]http.HandlerFunc{
		"GET /keys/status":  log.answer("", func(*http.Request) (any, error) { return k.state() }),
		"POST /keys/lock":   count("keys lock", func(*http.Request) (int, error) { return k.lock() }),
		"POST /keys/unlock": count("keys unlock", func(q *http.Request) (int, error) { return k.unlock(q.Context()) }),
		"POST /keys/encrypt": count("keys encrypt", func(q *http.Request) (int, error) {
			return k.now().Encrypt(q.Context(), q.URL.Query().Has("replace"))
		}),
		"POST /keys/decrypt": count("keys decrypt-all", func(q *http.Request) (int, error) { return k.now().Decrypt(q.Context()) }),
		"POST /keys/open": log.answer("keys open", func(q *http.Request) (any, error) {
			return openedOf(q.Context(), k.now())
		}),
	}
}

// counted answers how many key files something was done to.
type counted struct {
	Files int `json:"files"`
}
