// Package file is the encrypted file of the command line: a stream of authenticated chunks under a data key of its own,
// which the key server has wrapped.
//
//	+------------+-----+--------+----------+--------+---------+---------+     +--------------+
//	| "STRONGRM" | ver | length | header   | MAC    | chunk 0 | chunk 1 | ... | last chunk   |
//	| 8          | 1   | 2      | (length) | 32     | size+16 | size+16 |     | 16..size+16  |
//	+------------+-----+--------+----------+--------+---------+---------+     +--------------+
//
// Numbers are big-endian; ver is 1. The header is
//
//	+------+--------+------------+---------+-------------+---------+-------------+---------+
//	| wrap | cipher | chunk size | file id | uid length  | KEK uid | key length  | wrapped |
//	| 1    | 1      | 1, log2    | 32      | 2           |         | 2           | key     |
//	+------+--------+------------+---------+-------------+---------+-------------+---------+
//
// where wrap is 1 for RFC 5649, cipher 1 for AES-256-GCM, and the chunk size 16 to 22 for 64 KiB to 4 MiB. From the data
// key, 32 random bytes, and the file id, 32 more, HKDF-SHA256 (RFC 5869; the salt is the file id) derives two keys:
//
//	header key = "strongroom file 1: header"    MAC = HMAC-SHA256(header key, everything before the MAC)
//	chunk key  = "strongroom file 1: chunks"    chunk = AES-256-GCM(chunk key, nonce, plaintext), ciphertext then tag
//
// The nonce is that of STREAM (Hoang, Reyhanitabar, Rogaway, Vizár: Online Authenticated-Encryption and its
// Nonce-Reuse Misuse-Resistance, 2015):
//
//	+------------------+----------+
//	| number of chunk  | last     |
//	| 11               | 1: 0, 1  |
//	+------------------+----------+
//
// All chunks but the last are full. The last is empty only where the file is. So one content under one key and file id
// has one encoding, and a chunk that is changed, moved, missing or added does not open.
package file
