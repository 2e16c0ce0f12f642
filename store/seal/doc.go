// Package seal keeps the root of trust: the root key in its slots, the protectors that open them, and the envelope, the
// one format in which Strongroom keeps anything secret at rest.
//
//	protector (master key file | HSM key)  ─wraps→  root key  ─protects→  rows, server key files, backups
//
// To read it: envelope.go (the format), protector.go (what wraps a data key), root.go (sealed and unsealed), slots.go (the
// table of wrapped copies of the root key).
package seal
