// Package server answers KMIP over mutual TLS.
//
// A message comes in at conn.go, is taken apart in message.go, and each of its operations is looked up in the table of
// operations.go. An operation that concerns an existing object gets it from the door in open.go, and from nowhere else:
// the door routes, authorizes, and checks state and usage mask. The handlers beside (create.go, get.go, encrypt.go, …) have
// the semantics; they never ask which version a message had.
package server
