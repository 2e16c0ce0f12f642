/*
 * A PKCS#11 module that forwards every call to another one, and does to calls what a file says: fails them, delays them,
 * hangs in them, ends the process. SHIM_MODULE is the path of the other module, SHIM_CONTROL the file, which a test maps as
 * well (shim.go has its layout). SHIM_VERSION, as "2.30", is the version that the list of functions says it is of, and
 * SHIM_WITHOUT the numbers of functions that are not in it.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

typedef unsigned long word; /* CK_ULONG, or an address */

enum { FUNCTIONS = 68, NOTHING = 0, REFUSE = 1, FAIL_AFTER = 2, HANG = 3, CRASH = 4, CONSTANT = 5, HANG_AFTER = 6, FORESEEN = 7 };

/* What is done to one function. The test writes all but calls. */
typedef struct {
	_Atomic uint64_t calls;
	_Atomic uint64_t skip;  /* calls that are left alone first */
	_Atomic uint64_t times; /* calls that something is done to; UINT64_MAX: all */
	_Atomic uint64_t what;
	_Atomic uint64_t rv;
	_Atomic uint64_t delay; /* microseconds, for every call */
} plan;

typedef struct {
	unsigned char version[2];
	word (*f[FUNCTIONS])();
} function_list;

static function_list list, *real;
static plan *plans;

static void nap(uint64_t us) {
	struct timespec t = {(time_t)(us / 1000000), (long)(us % 1000000) * 1000};
	nanosleep(&t, NULL);
}

/* due says what is done to a call: it counts it. */
static uint64_t due(plan *p) {
	atomic_fetch_add(&p->calls, 1);
	uint64_t delay = atomic_load(&p->delay);
	if (delay) nap(delay);
	uint64_t what = atomic_load(&p->what);
	if (what == NOTHING) return NOTHING;
	uint64_t skip = atomic_load(&p->skip);
	while (skip > 0)
		if (atomic_compare_exchange_weak(&p->skip, &skip, skip - 1)) return NOTHING;
	uint64_t times = atomic_load(&p->times);
	while (times != UINT64_MAX) {
		if (times == 0) return NOTHING;
		if (atomic_compare_exchange_weak(&p->times, &times, times - 1)) break;
	}
	return what;
}

/* call forwards one call. All arguments of PKCS#11 are words or addresses, at most eight; what a function does not have
 * is not looked at by the other side. */
static word call(int n, word a, word b, word c, word d, word e, word f, word g, word h) {
	plan *p = &plans[n];
	switch (due(p)) {
	case REFUSE:
		return (word)atomic_load(&p->rv);
	case FAIL_AFTER:
		real->f[n](a, b, c, d, e, f, g, h);
		return (word)atomic_load(&p->rv);
	case HANG:
		while (atomic_load(&p->what) == HANG) nap(10000);
		break;
	case HANG_AFTER: {
		word rv = real->f[n](a, b, c, d, e, f, g, h);
		while (atomic_load(&p->what) == HANG_AFTER) nap(10000);
		return rv;
	}
	case CRASH:
		abort();
	case CONSTANT: { /* C_GenerateRandom */
		word rv = real->f[n](a, b, c, d, e, f, g, h);
		if (rv == 0) memset((void *)b, 0x5A, c);
		return rv;
	}
	case FORESEEN: { /* C_GenerateRandom */
		static _Atomic uint64_t last;
		for (word at = 0; at + 8 <= c; at += 8) {
			uint64_t number = atomic_fetch_add(&last, 1) + 1;
			memcpy((char *)b + at, &number, 8);
		}
		return 0;
	}
	}
	return real->f[n](a, b, c, d, e, f, g, h);
}

#define F(n) \
	static word f##n(word a, word b, word c, word d, word e, word f, word g, word h) { return call(n, a, b, c, d, e, f, g, h); }
#define EACH(X) \
	X(0) X(1) X(2) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11) X(12) X(13) X(14) X(15) X(16) X(17) X(18) X(19) X(20) X(21) X(22) \
	X(23) X(24) X(25) X(26) X(27) X(28) X(29) X(30) X(31) X(32) X(33) X(34) X(35) X(36) X(37) X(38) X(39) X(40) X(41) X(42) \
	X(43) X(44) X(45) X(46) X(47) X(48) X(49) X(50) X(51) X(52) X(53) X(54) X(55) X(56) X(57) X(58) X(59) X(60) X(61) X(62) \
	X(63) X(64) X(65) X(66) X(67)
EACH(F)

static word own_list(function_list **out) {
	*out = &list;
	return 0;
}

/* begin finds the other module and the file, when the library is loaded. */
static word begin(void) {
	const char *module = getenv("SHIM_MODULE"), *control = getenv("SHIM_CONTROL");
	if (!module || !control) return 5; /* CKR_GENERAL_ERROR */
	int fd = open(control, O_RDWR | O_CLOEXEC);
	if (fd < 0) return 5;
	plans = mmap(NULL, FUNCTIONS * sizeof *plans, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	void *dl = dlopen(module, RTLD_NOW | RTLD_LOCAL);
	word (*get)(function_list **) = NULL;
	if (dl) *(void **)&get = dlsym(dl, "C_GetFunctionList");
	if (plans == MAP_FAILED || !get || get(&real) != 0) return 5;
	memcpy(list.version, real->version, 2);
#define SET(n) list.f[n] = (word (*)())f##n;
	EACH(SET)
	list.f[3] = (word (*)())own_list;
	const char *version = getenv("SHIM_VERSION"), *without = getenv("SHIM_WITHOUT");
	if (version) sscanf(version, "%hhu.%hhu", &list.version[0], &list.version[1]);
	while (without && *without) {
		char *end;
		unsigned long n = strtoul(without, &end, 10);
		if (end == without) break;
		if (n < FUNCTIONS) list.f[n] = NULL;
		without = end;
	}
	return 0;
}

word C_GetFunctionList(function_list **out) {
	if (!real) {
		word rv = begin();
		if (rv) return rv;
	}
	return own_list(out);
}
