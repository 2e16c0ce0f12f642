// Package kmip has the nouns of the Key Management Interoperability Protocol, versions 1.0 to 2.1, and the contract of
// those who answer it: Object, Key and Backend.
//
// The inner form of every message is that of KMIP 2.1. What older versions write differently is in the struct tags of
// the payloads (one field, its wire alternatives per version) and in two types that own both shapes of attributes:
// Attributes and AttributeReferences. Nobody outside this package asks which version a message had.
//
// To read it: backend.go (the contract), operation.go (the table of operations), message.go, then any payload file.
package kmip
