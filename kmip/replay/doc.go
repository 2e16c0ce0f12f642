// Package replay plays the test cases of the KMIP profiles against a server: files of XML in which requests alternate with
// the answers that are expected. What may differ in a conforming server's answer is said by rules, never by case: they are
// those of the profiles' "Permitted Test Case Variations" (KMIP Profiles 1.4 §3.4 and 2.1).
package replay
