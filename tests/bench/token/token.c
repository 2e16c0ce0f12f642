/*
 * The second floor: a token driven directly through PKCS#11, with nothing around it. Each thread has a session of its own,
 * the handle of the key is looked up once, and an operation is C_xxxInit and one call with a buffer of its own.
 *
 *     token MODULE TOKEN-LABEL KEY-LABEL gcm|decrypt|sign|ecdsa|wrapped THREADS WARM-UP-SECONDS SECONDS
 *     token MODULE TOKEN-LABEL - fill NUMBER 0 0
 *
 * Wrapped is C_UnwrapKey, a signature and C_DestroyObject, of an RSA key of 2048 bits that the key of the label wrapped. Fill makes so many AES keys, which nobody uses. The first line of standard input is the PIN, the second the ciphertext of decrypt in hexadecimal. Prints the number of
 * operations and the seconds they took.
 *
 * The shapes and numbers are those of PKCS#11 2.40; unsigned long is CK_ULONG.
 */
#include <dlfcn.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

typedef unsigned long number;
typedef unsigned char byte;

typedef struct { number type; void *value; number size; } attribute;
typedef struct { number type; void *parameter; number size; } mechanism;
typedef struct { byte *iv; number iv_len, iv_bits; byte *aad; number aad_len, tag_bits; } gcm_params;
typedef struct { void *create, *destroy, *lock, *unlock; number flags; void *reserved; } initialize_args;
typedef number (*function)();

/* Places in CK_FUNCTION_LIST, behind the version. */
enum {
	INITIALIZE = 0, FINALIZE = 1, GET_SLOT_LIST = 4, GET_TOKEN_INFO = 6, OPEN_SESSION = 12, LOGIN = 18, FIND_INIT = 26,
	FIND = 27, FIND_FINAL = 28, ENCRYPT_INIT = 29, ENCRYPT = 30, DECRYPT_INIT = 33, DECRYPT = 34, SIGN_INIT = 42, SIGN = 43,
	DESTROY = 22, GENERATE_KEY = 58, GENERATE_KEY_PAIR = 59, WRAP = 60, UNWRAP = 61,
};
enum {
	CKF_OS_LOCKING_OK = 2, CKF_SERIAL_SESSION_RW = 6, CKU_USER = 1, CKA_CLASS = 0, CKA_LABEL = 3, CKO_PRIVATE_KEY = 3,
	CKO_SECRET_KEY = 4, CKA_TOKEN = 1, CKA_VALUE_LEN = 0x161, CKM_RSA_X_509 = 3, CKM_SHA256_RSA_PKCS = 0x40, CKM_ECDSA = 0x1041,
	CKM_AES_KEY_GEN = 0x1080, CKM_AES_GCM = 0x1087, CKK_RSA = 0, CKA_PRIVATE = 2, CKA_KEY_TYPE = 0x100, CKA_SENSITIVE = 0x103,
	CKA_SIGN = 0x108, CKA_MODULUS_BITS = 0x121, CKA_EXTRACTABLE = 0x162, CKM_RSA_PKCS_KEY_PAIR_GEN = 0, CKM_AES_KEY_WRAP_PAD = 0x210A,
};

static struct { byte version[2]; function f[68]; } *module;
static number slot, key;
static const char *operation;
static byte ciphertext[1024];
static number ciphertext_len;
static double from, until; /* on the monotonic clock */
static atomic_ulong done;

static void die(const char *what, number rv) {
	fprintf(stderr, "token: %s: 0x%lX\n", what, rv);
	exit(1);
}

static void check(const char *what, number rv) {
	if (rv) die(what, rv);
}

static double now(void) {
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

static number open_session(void) {
	number s;
	check("C_OpenSession", module->f[OPEN_SESSION](slot, (number)CKF_SERIAL_SESSION_RW, NULL, NULL, &s));
	return s;
}

/* find_slot finds the token by its label, which is padded with blanks. */
static void find_slot(const char *label) {
	number slots[64], n = 64;
	byte info[512], want[32];
	memset(want, ' ', sizeof want);
	memcpy(want, label, strlen(label) < 32 ? strlen(label) : 32);
	check("C_GetSlotList", module->f[GET_SLOT_LIST]((byte)1, slots, &n));
	for (number i = 0; i < n; i++) {
		check("C_GetTokenInfo", module->f[GET_TOKEN_INFO](slots[i], info));
		if (memcmp(info, want, 32) == 0) {
			slot = slots[i];
			return;
		}
	}
	die("no token of that label", 0);
}

/* find_key finds the one key of a class and label. */
static void find_key(number session, char *label, number class) {
	attribute t[] = {{CKA_CLASS, &class, sizeof class}, {CKA_LABEL, label, strlen(label)}};
	number found[2], n = 0;
	check("C_FindObjectsInit", module->f[FIND_INIT](session, t, (number)2));
	check("C_FindObjects", module->f[FIND](session, found, (number)2, &n));
	check("C_FindObjectsFinal", module->f[FIND_FINAL](session));
	if (n != 1) die("keys of that label, must be one", n);
	key = found[0];
}

static void gcm(number session, number count) {
	byte iv[12] = {0}, data[64] = {0}, out[128];
	number n = sizeof out;
	memcpy(iv, &count, sizeof count);
	memcpy(iv + 8, &session, 4);
	gcm_params p = {iv, 12, 96, NULL, 0, 128};
	mechanism m = {CKM_AES_GCM, &p, sizeof p};
	check("C_EncryptInit", module->f[ENCRYPT_INIT](session, &m, key));
	check("C_Encrypt", module->f[ENCRYPT](session, data, (number)sizeof data, out, &n));
	if (n != sizeof data + 16) die("bytes from C_Encrypt", n);
}

/* decrypt is what a token that has no OAEP with SHA-256 does for it: the unpadding is its user's. */
static void decrypt(number session, number count) {
	byte out[1024];
	number n = sizeof out;
	mechanism m = {CKM_RSA_X_509, NULL, 0};
	check("C_DecryptInit", module->f[DECRYPT_INIT](session, &m, key));
	check("C_Decrypt", module->f[DECRYPT](session, ciphertext, ciphertext_len, out, &n));
	if (n != ciphertext_len) die("bytes from C_Decrypt", n);
	(void)count;
}

static void sign(number session, number count) {
	byte data[64] = {0}, out[1024];
	number n = sizeof out;
	mechanism m = {CKM_SHA256_RSA_PKCS, NULL, 0};
	check("C_SignInit", module->f[SIGN_INIT](session, &m, key));
	check("C_Sign", module->f[SIGN](session, data, (number)sizeof data, out, &n));
	if (n < 256) die("bytes from C_Sign", n);
	(void)count;
}

static void ecdsa(number session, number count) {
	byte digest[32] = {1}, out[128];
	number n = sizeof out;
	mechanism m = {CKM_ECDSA, NULL, 0};
	check("C_SignInit", module->f[SIGN_INIT](session, &m, key));
	check("C_Sign", module->f[SIGN](session, digest, (number)sizeof digest, out, &n));
	if (n != 64) die("bytes from C_Sign", n);
	(void)count;
}

static byte blob[4096];
static number blob_len;

/* wrap makes the key that wrapped unwraps. */
static void wrap(number session) {
	byte yes = 1, no = 0;
	number bits = 2048, pub, priv;
	attribute public[] = {{CKA_TOKEN, &no, 1}, {CKA_MODULUS_BITS, &bits, sizeof bits}};
	attribute private[] = {{CKA_TOKEN, &no, 1}, {CKA_SENSITIVE, &yes, 1}, {CKA_EXTRACTABLE, &yes, 1}, {CKA_SIGN, &yes, 1}};
	mechanism pair = {CKM_RSA_PKCS_KEY_PAIR_GEN, NULL, 0}, how = {CKM_AES_KEY_WRAP_PAD, NULL, 0};
	check("C_GenerateKeyPair", module->f[GENERATE_KEY_PAIR](session, &pair, public, (number)2, private, (number)4, &pub, &priv));
	blob_len = sizeof blob;
	check("C_WrapKey", module->f[WRAP](session, &how, key, priv, blob, &blob_len));
}

static void wrapped(number session, number count) {
	byte yes = 1, no = 0, data[64] = {0}, out[1024];
	number n = sizeof out, class = CKO_PRIVATE_KEY, kind = CKK_RSA, object;
	attribute t[] = {{CKA_CLASS, &class, sizeof class}, {CKA_KEY_TYPE, &kind, sizeof kind}, {CKA_TOKEN, &no, 1}, {CKA_PRIVATE, &yes, 1},
		{CKA_SENSITIVE, &yes, 1}, {CKA_EXTRACTABLE, &no, 1}, {CKA_SIGN, &yes, 1}};
	mechanism how = {CKM_AES_KEY_WRAP_PAD, NULL, 0}, m = {CKM_SHA256_RSA_PKCS, NULL, 0};
	check("C_UnwrapKey", module->f[UNWRAP](session, &how, key, blob, blob_len, t, (number)7, &object));
	check("C_SignInit", module->f[SIGN_INIT](session, &m, object));
	check("C_Sign", module->f[SIGN](session, data, (number)sizeof data, out, &n));
	if (n < 256) die("bytes from C_Sign", n);
	check("C_DestroyObject", module->f[DESTROY](session, object));
	(void)count;
}

static void fill(number session, number count) {
	byte yes = 1;
	number length = 32, made;
	char label[32];
	mechanism m = {CKM_AES_KEY_GEN, NULL, 0};
	for (number i = 0; i < count; i++) {
		snprintf(label, sizeof label, "other-%lu", i);
		attribute t[] = {{CKA_TOKEN, &yes, 1}, {CKA_LABEL, label, strlen(label)}, {CKA_VALUE_LEN, &length, sizeof length}};
		check("C_GenerateKey", module->f[GENERATE_KEY](session, &m, t, (number)3, &made));
	}
}

static void *run(void *arg) {
	number session = *(number *)arg, counted = 0;
	void (*act)(number, number) = *operation == 'g' ? gcm : *operation == 'd' ? decrypt : *operation == 'e' ? ecdsa : *operation == 'w' ? wrapped : sign;
	for (number i = 0;; i++) {
		act(session, i);
		double t = now();
		if (t >= until) break;
		if (t >= from) counted++;
	}
	atomic_fetch_add(&done, counted);
	return NULL;
}

/* read_secrets reads the PIN and the ciphertext. */
static void read_secrets(char *pin, int size) {
	char hex[2 * sizeof ciphertext + 2] = "";
	if (!fgets(pin, size, stdin)) die("no PIN on standard input", 0);
	pin[strcspn(pin, "\n")] = 0;
	if (!fgets(hex, sizeof hex, stdin)) return;
	for (char *c = hex; sscanf(c, "%2hhx", &ciphertext[ciphertext_len]) == 1; c += 2) ciphertext_len++;
}

int main(int argc, char **argv) {
	char pin[256];
	if (argc != 8) die("arguments", argc);
	operation = argv[4];
	read_secrets(pin, sizeof pin);

	void *dl = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
	if (!dl) {
		fprintf(stderr, "token: %s\n", dlerror());
		return 1;
	}
	function list;
	*(void **)&list = dlsym(dl, "C_GetFunctionList");
	if (!list) die("no C_GetFunctionList", 0);
	check("C_GetFunctionList", list(&module));
	initialize_args args = {.flags = CKF_OS_LOCKING_OK};
	check("C_Initialize", module->f[INITIALIZE](&args));
	find_slot(argv[2]);
	number anchor = open_session();
	check("C_Login", module->f[LOGIN](anchor, (number)CKU_USER, pin, (number)strlen(pin)));
	if (*operation == 'f') {
		fill(anchor, strtoul(argv[5], NULL, 10));
		printf("0 1\n");
		return module->f[FINALIZE](NULL) != 0;
	}
	find_key(anchor, argv[3], *operation == 'g' || *operation == 'w' ? CKO_SECRET_KEY : CKO_PRIVATE_KEY);
	if (*operation == 'w') wrap(anchor);

	int threads = atoi(argv[5]);
	if (threads < 1 || threads > 256) die("threads", threads);
	pthread_t thread[256];
	number session[256];
	from = now() + atof(argv[6]);
	until = from + atof(argv[7]);
	for (int i = 0; i < threads; i++) {
		session[i] = open_session();
		if (pthread_create(&thread[i], NULL, run, &session[i])) die("pthread_create", 0);
	}
	for (int i = 0; i < threads; i++) pthread_join(thread[i], NULL);
	printf("%lu %s\n", (unsigned long)done, argv[7]);
	check("C_Finalize", module->f[FINALIZE](NULL));
	return 0;
}
