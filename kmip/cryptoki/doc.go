// Package cryptoki encodes the parameters of PKCS#11 functions as messages of KMIP carry them, and has the numbers of PKCS#11 that
// takes. KMIP Profiles 2.1, PKCS#11 Encoding:
//
//	CK_BYTE, CK_BBOOL            one byte
//	CK_ULONG                     8 bytes, big-endian; what counts the elements of an array 4
//	CK_VERSION, CK_DATE, text    their bytes, in a row; text of a fixed size is padded with blanks
//	structure                    its members, in a row
//	array                        the number of its elements, then these
//	array to be filled, asked    a byte, 1 where there is a buffer, then for how many elements it is
//	            and answered     a byte, 1 where elements follow, then how many there are, then these
//	CK_ATTRIBUTE                 the type; a byte, 1 where the value follows; a byte, 1 where its length is given, or
//	                             there is a buffer for it; for an array the number of elements; the value
//
// Pointers to functions and to what they get are not sent.
package cryptoki
