// Package hsm keeps managed objects in the slots of PKCS#11 modules: a kmip.Backend whose keys never leave the token unless
// they were made to.
//
// The tour: hsm.go opens modules and slots; backend.go has the methods of kmip.Backend; key.go with aes.go, rsa.go and sign.go
// computes; mechanism.go is the one table of KMIP → PKCS#11, and selftest.go proves it; object.go finds objects and
// remembers them; supervisor.go and session.go keep tokens usable; module.go, cryptoki.go and library.go reach the
// vendor's library.
package hsm
