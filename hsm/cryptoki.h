/*
 * The part of PKCS#11 2.40 that Strongroom calls, and one C function for each crossing from Go. Every function here takes
 * plain buffers that Go owns, builds mechanisms and templates on its own stack, allocates nothing and keeps nothing; but for sr_open.
 */
#ifndef STRONGROOM_CRYPTOKI_H
#define STRONGROOM_CRYPTOKI_H

typedef unsigned char ck_byte;
typedef unsigned long ck_ulong;

/* One answer: the return value, a length or handle, and whether the Init call of a two-step operation was accepted. */
typedef struct {
	ck_ulong rv;
	ck_ulong n;
	ck_ulong begun;
} sr_result;

/* How the parameter of a mechanism is built. */
enum { SR_PLAIN, SR_IV, SR_GCM, SR_CTR, SR_OAEP, SR_PSS };

/* The operations of sr_operate. */
enum { SR_ENCRYPT, SR_DECRYPT, SR_SIGN };

/*
 * A mechanism in pieces, for Go may not pass memory that holds Go pointers: iv is the IV or counter block, extra is the AAD
 * or the OAEP source, a, b, c are tag bits (GCM), counter bits (CTR), or hash, mask generator and salt length.
 */
#define SR_MECHANISM                                                                                                      \
	ck_ulong type, int kind, ck_byte *iv, ck_ulong iv_len, ck_byte *extra, ck_ulong extra_len, ck_ulong a, ck_ulong b, \
		ck_ulong c

/* A template in pieces: the types, the sizes, and the values one after another, each at a multiple of eight. */
#define SR_TEMPLATE(t) ck_ulong *t##_types, ck_ulong *t##_sizes, ck_ulong t##_count, ck_byte *t##_values

/*
 * sr_open loads a library and gives its function list, or writes why it could not. The list has the 68 functions of every version
 * from 2.01 on; modules for 3.0 and later give one for 2.40 as well (PKCS#11 3.0 §5.4, C_GetFunctionList). It is a copy, for good.
 */
void *sr_open(const char *path, char *why, ck_ulong why_len, ck_ulong *rv);

/* parameters, which may be NULL, goes into the reserved member: NSS reads it, and keeps it. */
ck_ulong sr_initialize(void *m, char *parameters);
ck_ulong sr_finalize(void *m);

/* text receives 32 bytes of manufacturer and 32 of description; version the library's major and minor. */
ck_ulong sr_info(void *m, ck_byte *text, ck_byte *version);
sr_result sr_slots(void *m, ck_ulong *slots, ck_ulong max);

/*
 * text receives label 32, manufacturer 32, model 16, serial 16; numbers: flags, most sessions, most read/write sessions;
 * versions: hardware and firmware, major and minor.
 */
ck_ulong sr_token_info(void *m, ck_ulong slot, ck_byte *text, ck_ulong *numbers, ck_byte *versions);
sr_result sr_mechanisms(void *m, ck_ulong slot, ck_ulong *list, ck_ulong max);

sr_result sr_open_session(void *m, ck_ulong slot);
ck_ulong sr_close_session(void *m, ck_ulong session);
ck_ulong sr_login(void *m, ck_ulong session, ck_byte *pin, ck_ulong pin_len);
sr_result sr_session_state(void *m, ck_ulong session);
ck_ulong sr_random(void *m, ck_ulong session, ck_byte *out, ck_ulong n);
ck_ulong sr_seed_random(void *m, ck_ulong session, ck_byte *seed, ck_ulong n);

sr_result sr_find(void *m, ck_ulong session, SR_TEMPLATE(t), ck_ulong *handles, ck_ulong max);

/*
 * sizes receives the size of each attribute, or the largest ck_ulong for one that the token does not give; the values come
 * one after another, each at a multiple of eight. n is the room that all values need: more than max, nothing was written.
 */
sr_result sr_attributes(void *m, ck_ulong session, ck_ulong object, ck_ulong *types, ck_ulong *sizes, ck_ulong count,
	ck_byte *values, ck_ulong max);

sr_result sr_create(void *m, ck_ulong session, SR_TEMPLATE(t));
ck_ulong sr_destroy(void *m, ck_ulong session, ck_ulong object);
sr_result sr_generate(void *m, ck_ulong session, ck_ulong type, SR_TEMPLATE(t));

/* n is the handle of the private key; the public key's is written to public_key. */
sr_result sr_generate_pair(void *m, ck_ulong session, ck_ulong type, SR_TEMPLATE(pub), SR_TEMPLATE(priv), ck_ulong *public_key);

/*
 * sr_operate is C_xxxInit and C_xxx in one crossing. resume leaves the Init out, to go on with a larger buffer after
 * CKR_BUFFER_TOO_SMALL; where the token ended the operation all the same, it is begun again.
 */
sr_result sr_operate(void *m, int operation, int resume, ck_ulong session, SR_MECHANISM, ck_ulong key, ck_byte *in,
	ck_ulong in_len, ck_byte *out, ck_ulong out_len);
sr_result sr_wrap(void *m, ck_ulong session, SR_MECHANISM, ck_ulong wrapping, ck_ulong key, ck_byte *out, ck_ulong out_len);
sr_result sr_unwrap(void *m, ck_ulong session, SR_MECHANISM, ck_ulong unwrapping, ck_byte *wrapped, ck_ulong wrapped_len,
	SR_TEMPLATE(t));

#endif
