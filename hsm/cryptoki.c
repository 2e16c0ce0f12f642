#include "cryptoki.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The structures of PKCS#11 2.40 §3, with the platform's own alignment, as every module for Unix has them. */

typedef struct { ck_byte major, minor; } ck_version;

typedef struct { ck_ulong type; void *value; ck_ulong size; } ck_attribute;

typedef struct { ck_ulong type; void *parameter; ck_ulong size; } ck_mechanism;

typedef struct {
	ck_version cryptoki;
	ck_byte manufacturer[32];
	ck_ulong flags;
	ck_byte description[32];
	ck_version library;
} ck_info;

typedef struct {
	ck_byte label[32], manufacturer[32], model[16], serial[16];
	ck_ulong flags;
	ck_ulong max_sessions, sessions, max_rw_sessions, rw_sessions, max_pin, min_pin;
	ck_ulong total_public, free_public, total_private, free_private;
	ck_version hardware, firmware;
	ck_byte time[16];
} ck_token_info;

typedef struct { ck_ulong slot, state, flags, error; } ck_session_info;

typedef struct {
	void *create_mutex, *destroy_mutex, *lock_mutex, *unlock_mutex;
	ck_ulong flags;
	void *reserved;
} ck_initialize_args;

typedef struct { ck_byte *iv; ck_ulong iv_len, iv_bits; ck_byte *aad; ck_ulong aad_len, tag_bits; } ck_gcm_params;

typedef struct { ck_ulong counter_bits; ck_byte block[16]; } ck_ctr_params;

typedef struct { ck_ulong hash, mgf, source; void *data; ck_ulong data_len; } ck_oaep_params;

typedef struct { ck_ulong hash, mgf, salt_len; } ck_pss_params;

/* The function list of PKCS#11 2.40 §3.6: 68 pointers in this order; those that are never called have no prototype. */
typedef struct {
	ck_version version;
	ck_ulong (*initialize)(void *);
	ck_ulong (*finalize)(void *);
	ck_ulong (*get_info)(ck_info *);
	void *get_function_list;
	ck_ulong (*get_slot_list)(ck_byte, ck_ulong *, ck_ulong *);
	void *get_slot_info;
	ck_ulong (*get_token_info)(ck_ulong, ck_token_info *);
	ck_ulong (*get_mechanism_list)(ck_ulong, ck_ulong *, ck_ulong *);
	void *get_mechanism_info, *init_token, *init_pin, *set_pin;
	ck_ulong (*open_session)(ck_ulong, ck_ulong, void *, void *, ck_ulong *);
	ck_ulong (*close_session)(ck_ulong);
	void *close_all_sessions;
	ck_ulong (*get_session_info)(ck_ulong, ck_session_info *);
	void *get_operation_state, *set_operation_state;
	ck_ulong (*login)(ck_ulong, ck_ulong, ck_byte *, ck_ulong);
	void *logout;
	ck_ulong (*create_object)(ck_ulong, ck_attribute *, ck_ulong, ck_ulong *);
	void *copy_object;
	ck_ulong (*destroy_object)(ck_ulong, ck_ulong);
	void *get_object_size;
	ck_ulong (*get_attribute_value)(ck_ulong, ck_ulong, ck_attribute *, ck_ulong);
	void *set_attribute_value;
	ck_ulong (*find_objects_init)(ck_ulong, ck_attribute *, ck_ulong);
	ck_ulong (*find_objects)(ck_ulong, ck_ulong *, ck_ulong, ck_ulong *);
	ck_ulong (*find_objects_final)(ck_ulong);
	ck_ulong (*encrypt_init)(ck_ulong, ck_mechanism *, ck_ulong);
	ck_ulong (*encrypt)(ck_ulong, ck_byte *, ck_ulong, ck_byte *, ck_ulong *);
	void *encrypt_update, *encrypt_final;
	ck_ulong (*decrypt_init)(ck_ulong, ck_mechanism *, ck_ulong);
	ck_ulong (*decrypt)(ck_ulong, ck_byte *, ck_ulong, ck_byte *, ck_ulong *);
	void *decrypt_update, *decrypt_final;
	void *digest_init, *digest, *digest_update, *digest_key, *digest_final;
	ck_ulong (*sign_init)(ck_ulong, ck_mechanism *, ck_ulong);
	ck_ulong (*sign)(ck_ulong, ck_byte *, ck_ulong, ck_byte *, ck_ulong *);
	void *sign_update, *sign_final, *sign_recover_init, *sign_recover;
	void *verify_init, *verify, *verify_update, *verify_final, *verify_recover_init, *verify_recover;
	void *digest_encrypt_update, *decrypt_digest_update, *sign_encrypt_update, *decrypt_verify_update;
	ck_ulong (*generate_key)(ck_ulong, ck_mechanism *, ck_attribute *, ck_ulong, ck_ulong *);
	ck_ulong (*generate_key_pair)(ck_ulong, ck_mechanism *, ck_attribute *, ck_ulong, ck_attribute *, ck_ulong, ck_ulong *,
		ck_ulong *);
	ck_ulong (*wrap_key)(ck_ulong, ck_mechanism *, ck_ulong, ck_ulong, ck_byte *, ck_ulong *);
	ck_ulong (*unwrap_key)(ck_ulong, ck_mechanism *, ck_ulong, ck_byte *, ck_ulong, ck_attribute *, ck_ulong, ck_ulong *);
	void *derive_key;
	ck_ulong (*seed_random)(ck_ulong, ck_byte *, ck_ulong);
	ck_ulong (*generate_random)(ck_ulong, ck_byte *, ck_ulong);
	void *get_function_status, *cancel_function, *wait_for_slot_event;
} ck_functions;

_Static_assert(sizeof(ck_functions) == 69 * sizeof(void *), "68 functions after the version");

enum {
	CKR_OK = 0, CKR_HOST_MEMORY = 2, CKR_FUNCTION_NOT_SUPPORTED = 0x54, CKR_ATTRIBUTE_SENSITIVE = 0x11, CKR_ATTRIBUTE_TYPE_INVALID = 0x12,
	CKR_TEMPLATE_INCONSISTENT = 0xD1, CKR_OPERATION_NOT_INITIALIZED = 0x91, CKR_BUFFER_TOO_SMALL = 0x150,
	CKF_OS_LOCKING_OK = 2, CKF_SERIAL_RW = 6, CKU_USER = 1, CKZ_DATA_SPECIFIED = 1,
	MAX_ATTRIBUTES = 40,
};

#define F(m) ((ck_functions *)(m))

static ck_ulong eight(ck_ulong n) { return (n + 7) & ~(ck_ulong)7; }

static ck_byte nothing[8];

/* some is p, or an address that is not NULL: several modules refuse NULL with a length of 0. */
static ck_byte *some(ck_byte *p) { return p ? p : nothing; }

/* fill makes a template of its pieces. */
static int fill(ck_attribute *t, SR_TEMPLATE(in)) {
	if (in_count > MAX_ATTRIBUTES) return 0;
	ck_ulong at = 0;
	for (ck_ulong i = 0; i < in_count; i++) {
		t[i].type = in_types[i];
		t[i].value = in_values + at;
		t[i].size = in_sizes[i];
		at += eight(in_sizes[i]);
	}
	return 1;
}

/* The parameters of the mechanisms in use, so that one lives on the stack. */
typedef union {
	ck_gcm_params gcm;
	ck_ctr_params ctr;
	ck_oaep_params oaep;
	ck_pss_params pss;
} params;

static ck_mechanism build(params *p, SR_MECHANISM) {
	ck_mechanism m = {type, NULL, 0};
	switch (kind) {
	case SR_IV:
		m.parameter = iv;
		m.size = iv_len;
		break;
	case SR_GCM:
		p->gcm = (ck_gcm_params){iv, iv_len, iv_len * 8, extra_len ? extra : NULL, extra_len, a};
		m.parameter = &p->gcm;
		m.size = sizeof p->gcm;
		break;
	case SR_CTR:
		p->ctr.counter_bits = a;
		memcpy(p->ctr.block, iv, iv_len < 16 ? iv_len : 16);
		m.parameter = &p->ctr;
		m.size = sizeof p->ctr;
		break;
	case SR_OAEP:
		p->oaep = (ck_oaep_params){a, b, CKZ_DATA_SPECIFIED, extra_len ? extra : NULL, extra_len};
		m.parameter = &p->oaep;
		m.size = sizeof p->oaep;
		break;
	case SR_PSS:
		p->pss = (ck_pss_params){a, b, c};
		m.parameter = &p->pss;
		m.size = sizeof p->pss;
		break;
	}
	return m;
}

#define MECHANISM type, kind, iv, iv_len, extra, extra_len, a, b, c
#define TEMPLATE(t) t##_types, t##_sizes, t##_count, t##_values

static ck_ulong absent(void) { return CKR_FUNCTION_NOT_SUPPORTED; }

/* whole is a copy of a function list in which functions that a module leaves out say so when they are called. */
static ck_functions *whole(const ck_functions *list) {
	ck_functions *copy = malloc(sizeof *copy);
	if (!copy) return NULL;
	memcpy(copy, list, sizeof *copy);
	void **f = (void **)&copy->initialize;
	for (int i = 0; i < 68; i++)
		if (!f[i]) *(ck_ulong(**)(void))&f[i] = absent;
	return copy;
}

void *sr_open(const char *path, char *why, ck_ulong why_len, ck_ulong *rv) {
	*rv = CKR_OK;
	void *dl = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	if (!dl) {
		const char *text = dlerror();
		snprintf(why, why_len, "%s", text ? text : "dlopen gave no reason");
		return NULL;
	}
	ck_ulong (*list)(ck_functions **);
	*(void **)&list = dlsym(dl, "C_GetFunctionList");
	if (!list) {
		snprintf(why, why_len, "%s: not a PKCS#11 module: it has no C_GetFunctionList", path);
		return NULL;
	}
	ck_functions *f = NULL;
	*rv = list(&f);
	if (*rv != CKR_OK) return NULL;
	if (!f || f->version.major < 2) {
		snprintf(why, why_len, "%s: its function list is of Cryptoki %d.%d, 2.20 is the least that is used", path, f ? f->version.major : 0, f ? f->version.minor : 0);
		return NULL;
	}
	ck_functions *copy = whole(f);
	if (!copy) *rv = CKR_HOST_MEMORY;
	return copy;
}

ck_ulong sr_initialize(void *m, char *parameters) {
	ck_initialize_args args = {.flags = CKF_OS_LOCKING_OK, .reserved = parameters};
	return F(m)->initialize(&args);
}

ck_ulong sr_finalize(void *m) { return F(m)->finalize(NULL); }

ck_ulong sr_info(void *m, ck_byte *text, ck_byte *version) {
	ck_info i;
	memset(&i, 0, sizeof i);
	ck_ulong rv = F(m)->get_info(&i);
	memcpy(text, i.manufacturer, 32);
	memcpy(text + 32, i.description, 32);
	version[0] = i.library.major;
	version[1] = i.library.minor;
	version[2] = i.cryptoki.major;
	version[3] = i.cryptoki.minor;
	return rv;
}

sr_result sr_slots(void *m, ck_ulong *slots, ck_ulong max) {
	sr_result r = {.n = max};
	r.rv = F(m)->get_slot_list(1, slots, &r.n);
	return r;
}

ck_ulong sr_token_info(void *m, ck_ulong slot, ck_byte *text, ck_ulong *numbers, ck_byte *versions) {
	ck_token_info i;
	memset(&i, 0, sizeof i);
	ck_ulong rv = F(m)->get_token_info(slot, &i);
	memcpy(text, i.label, 32);
	memcpy(text + 32, i.manufacturer, 32);
	memcpy(text + 64, i.model, 16);
	memcpy(text + 80, i.serial, 16);
	numbers[0] = i.flags;
	numbers[1] = i.max_sessions;
	numbers[2] = i.max_rw_sessions;
	versions[0] = i.hardware.major;
	versions[1] = i.hardware.minor;
	versions[2] = i.firmware.major;
	versions[3] = i.firmware.minor;
	return rv;
}

sr_result sr_mechanisms(void *m, ck_ulong slot, ck_ulong *list, ck_ulong max) {
	sr_result r = {.n = max};
	r.rv = F(m)->get_mechanism_list(slot, list, &r.n);
	return r;
}

sr_result sr_open_session(void *m, ck_ulong slot) {
	sr_result r = {0};
	r.rv = F(m)->open_session(slot, CKF_SERIAL_RW, NULL, NULL, &r.n);
	return r;
}

ck_ulong sr_close_session(void *m, ck_ulong session) { return F(m)->close_session(session); }

ck_ulong sr_login(void *m, ck_ulong session, ck_byte *pin, ck_ulong pin_len) {
	return F(m)->login(session, CKU_USER, some(pin), pin_len);
}

sr_result sr_session_state(void *m, ck_ulong session) {
	ck_session_info i;
	memset(&i, 0, sizeof i);
	sr_result r = {0};
	r.rv = F(m)->get_session_info(session, &i);
	r.n = i.state;
	return r;
}

ck_ulong sr_seed_random(void *m, ck_ulong session, ck_byte *seed, ck_ulong n) { return F(m)->seed_random(session, some(seed), n); }
ck_ulong sr_random(void *m, ck_ulong session, ck_byte *out, ck_ulong n) { return F(m)->generate_random(session, some(out), n); }

sr_result sr_find(void *m, ck_ulong session, SR_TEMPLATE(t), ck_ulong *handles, ck_ulong max) {
	sr_result r = {0};
	ck_attribute t[MAX_ATTRIBUTES];
	if (!fill(t, TEMPLATE(t))) {
		r.rv = CKR_TEMPLATE_INCONSISTENT;
		return r;
	}
	r.rv = F(m)->find_objects_init(session, t, t_count);
	if (r.rv != CKR_OK) return r;
	r.begun = 1;
	while (r.rv == CKR_OK && r.n < max) {
		ck_ulong got = 0;
		r.rv = F(m)->find_objects(session, handles + r.n, max - r.n, &got);
		if (r.rv == CKR_OK && got == 0) break;
		if (r.rv == CKR_OK) r.n += got;
	}
	ck_ulong end = F(m)->find_objects_final(session);
	if (r.rv == CKR_OK) r.rv = end;
	return r;
}

/* partial says that the token gave some attributes and marked the others. */
static int partial(ck_ulong rv) {
	return rv == CKR_OK || rv == CKR_ATTRIBUTE_SENSITIVE || rv == CKR_ATTRIBUTE_TYPE_INVALID;
}

sr_result sr_attributes(void *m, ck_ulong session, ck_ulong object, ck_ulong *types, ck_ulong *sizes, ck_ulong count,
	ck_byte *values, ck_ulong max) {
	sr_result r = {0};
	ck_attribute t[MAX_ATTRIBUTES];
	ck_ulong where[MAX_ATTRIBUTES];
	if (count > MAX_ATTRIBUTES) {
		r.rv = CKR_TEMPLATE_INCONSISTENT;
		return r;
	}
	for (ck_ulong i = 0; i < count; i++) {
		t[i] = (ck_attribute){types[i], NULL, 0};
		sizes[i] = (ck_ulong)-1;
	}
	r.rv = F(m)->get_attribute_value(session, object, t, count);
	if (!partial(r.rv)) return r;

	ck_ulong known = 0;
	for (ck_ulong i = 0; i < count; i++) {
		if (t[i].size == (ck_ulong)-1) continue;
		if (t[i].size > max) { /* also keeps the sum from wrapping */
			r.rv = CKR_BUFFER_TOO_SMALL;
			r.n = t[i].size;
			return r;
		}
		where[known] = i;
		t[known] = (ck_attribute){types[i], values + r.n, t[i].size};
		r.n += eight(t[known].size);
		known++;
	}
	r.rv = CKR_OK;
	if (r.n > max) r.rv = CKR_BUFFER_TOO_SMALL;
	if (r.rv != CKR_OK || known == 0) return r;

	r.rv = F(m)->get_attribute_value(session, object, t, known);
	if (!partial(r.rv)) return r;
	r.rv = CKR_OK;
	r.n = 0;
	for (ck_ulong i = 0; i < known; i++) { /* sizes may have been upper bounds: close the gaps */
		sizes[where[i]] = t[i].size;
		if (t[i].size == (ck_ulong)-1) continue;
		memmove(values + r.n, t[i].value, t[i].size);
		r.n += eight(t[i].size);
	}
	return r;
}

sr_result sr_create(void *m, ck_ulong session, SR_TEMPLATE(t)) {
	sr_result r = {.rv = CKR_TEMPLATE_INCONSISTENT};
	ck_attribute t[MAX_ATTRIBUTES];
	if (fill(t, TEMPLATE(t))) r.rv = F(m)->create_object(session, t, t_count, &r.n);
	return r;
}

ck_ulong sr_destroy(void *m, ck_ulong session, ck_ulong object) { return F(m)->destroy_object(session, object); }

sr_result sr_generate(void *m, ck_ulong session, ck_ulong type, SR_TEMPLATE(t)) {
	sr_result r = {.rv = CKR_TEMPLATE_INCONSISTENT};
	ck_attribute t[MAX_ATTRIBUTES];
	ck_mechanism how = {type, NULL, 0};
	if (fill(t, TEMPLATE(t))) r.rv = F(m)->generate_key(session, &how, t, t_count, &r.n);
	return r;
}

sr_result sr_generate_pair(void *m, ck_ulong session, ck_ulong type, SR_TEMPLATE(pub), SR_TEMPLATE(priv), ck_ulong *public_key) {
	sr_result r = {.rv = CKR_TEMPLATE_INCONSISTENT};
	ck_attribute pub[MAX_ATTRIBUTES], priv[MAX_ATTRIBUTES];
	ck_mechanism how = {type, NULL, 0};
	if (fill(pub, TEMPLATE(pub)) && fill(priv, TEMPLATE(priv)))
		r.rv = F(m)->generate_key_pair(session, &how, pub, pub_count, priv, priv_count, public_key, &r.n);
	return r;
}

sr_result sr_operate(void *m, int operation, int resume, ck_ulong session, SR_MECHANISM, ck_ulong key, ck_byte *in,
	ck_ulong in_len, ck_byte *out, ck_ulong out_len) {
	ck_ulong (*init)(ck_ulong, ck_mechanism *, ck_ulong) = F(m)->encrypt_init;
	ck_ulong (*run)(ck_ulong, ck_byte *, ck_ulong, ck_byte *, ck_ulong *) = F(m)->encrypt;
	if (operation == SR_DECRYPT) {
		init = F(m)->decrypt_init;
		run = F(m)->decrypt;
	} else if (operation == SR_SIGN) {
		init = F(m)->sign_init;
		run = F(m)->sign;
	}
	params p;
	ck_mechanism how = build(&p, MECHANISM);
	sr_result r = {0};
	if (resume) {
		r.begun = 1;
		r.n = out_len;
		r.rv = run(session, some(in), in_len, some(out), &r.n);
		if (r.rv != CKR_OPERATION_NOT_INITIALIZED) return r;
		r.begun = 0;
	}
	r.rv = init(session, &how, key);
	if (r.rv != CKR_OK) return r;
	r.begun = 1;
	r.n = out_len;
	r.rv = run(session, some(in), in_len, some(out), &r.n);
	return r;
}

sr_result sr_wrap(void *m, ck_ulong session, SR_MECHANISM, ck_ulong wrapping, ck_ulong key, ck_byte *out, ck_ulong out_len) {
	params p;
	ck_mechanism how = build(&p, MECHANISM);
	sr_result r = {.n = out_len};
	r.rv = F(m)->wrap_key(session, &how, wrapping, key, some(out), &r.n);
	return r;
}

sr_result sr_unwrap(void *m, ck_ulong session, SR_MECHANISM, ck_ulong unwrapping, ck_byte *wrapped, ck_ulong wrapped_len,
	SR_TEMPLATE(t)) {
	params p;
	ck_mechanism how = build(&p, MECHANISM);
	sr_result r = {.rv = CKR_TEMPLATE_INCONSISTENT};
	ck_attribute t[MAX_ATTRIBUTES];
	if (fill(t, TEMPLATE(t)))
		r.rv = F(m)->unwrap_key(session, &how, unwrapping, some(wrapped), wrapped_len, t, t_count, &r.n);
	return r;
}
