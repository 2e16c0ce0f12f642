// Package store keeps managed objects in a SQL database, their material in envelopes (see store/seal), with the grants on
// them and with what is recorded about keys that live in tokens. It implements kmip.Backend for every identifier that is
// not an HSM key, and kmip.Access for all.
//
// No function of this package writes material that is not in an envelope: what a row takes is a *seal.Envelope, and only
// seal.Seal makes one. An envelope is bound to the row's identifier, object type, owner, usage mask, Sensitive and
// Extractable.
//
// To read it: store.go, schema.go, row.go (a row in memory), objects.go (the operations), write.go (group commit), key.go
// (how a row computes), index.go (what objects are found by), plan.go and locate.go (how a search goes).
package store
