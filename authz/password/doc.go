// Package password proves the credentials of requests: who must say more than a certificate says, and whether what a request
// says is right.
//
// The users are in a TOML file that nobody else may read. Of a password it has what cannot be turned back: a hash of
// argon2id or bcrypt, and for the Hashed Password credential of KMIP the values of §9.11 of which the second is hashed once
// more, so that the file alone does not make a credential. The secret of one-time passwords is there in clear, for it must be.
package password
