// Package soft is KMIP cryptography in software: it generates, checks, converts, opens and wraps managed objects with the
// standard library's crypto packages. It does no I/O and keeps no state but the keys that its callers open.
//
// Open turns a value in clear into a key that computes. Everything that costs time is done there once (parsing, key
// schedules, GCM tables), so that an operation does its cryptography and nothing else. A parameter that cannot be honoured
// is refused: none is ignored. A decryption that fails says only that it failed.
package soft
