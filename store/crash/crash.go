// Package crash names the points between two steps of the program that each leave something behind, on a disk or in a token. What is
// shipped has nothing of it. Built with the tag crashpoints, the program ends itself at one of them, as a power failure would, so
// that tests/crash_test.go can see what becomes of each.
package crash
