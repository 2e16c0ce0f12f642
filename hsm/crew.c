#define _GNU_SOURCE
#include "crew.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
	HEAD = 8,              /* bytes of a length and a number */
	LONGEST = 64 << 20,    /* longestMessage */
	ROOM = 64 << 10,       /* bytes that are read at once */
	CROWD = 100,           /* as in lanes.go */
	CKR_GENERAL_ERROR = 5, CKR_HOST_MEMORY = 2, CKR_BUFFER_TOO_SMALL = 0x150,
};

struct sr_crew {
	void *m;
	int server, rest;
	sr_lanes *quick, *slow;
	int crowded; /* the reader's: how many more calls go through a lane although nothing else is under way */

	_Atomic int busy; /* calls under way */
	pthread_mutex_t mu;
	pthread_cond_t ended;

	/* What waits to be written to the server, guarded by mu; one thread writes what all have left. */
	ck_byte *waiting, *spare;
	size_t size, room, spare_room;
	int writing, fault;
};

/* A call is a job that came as a message. */
typedef struct {
	sr_job job;
	sr_crew *crew;
	uint32_t number;
	ck_byte *answer; /* its head, the outcome, the result's length, and then room for the result and the IV */
	size_t answer_room;
	size_t size;
	ck_byte message[];
} call;

enum { BEFORE = HEAD + 1 + 8 }; /* bytes of an answer before the result */

static void put32(ck_byte *at, uint32_t n) {
	for (int i = 3; i >= 0; i--, n >>= 8) at[i] = (ck_byte)n;
}

static void put64(ck_byte *at, uint64_t n) {
	for (int i = 7; i >= 0; i--, n >>= 8) at[i] = (ck_byte)n;
}

static uint32_t get32(const ck_byte *at) { return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3]; }

static uint64_t get64(const ck_byte *at) { return (uint64_t)get32(at) << 32 | get32(at + 4); }

/* write_all writes n bytes, or gives the errno of what stopped it. */
static int write_all(int to, const ck_byte *b, size_t n) {
	while (n > 0) {
		ssize_t did = send(to, b, n, MSG_NOSIGNAL);
		if (did < 0 && errno == EINTR) continue;
		if (did < 0) return errno;
		b += did;
		n -= (size_t)did;
	}
	return 0;
}

/* leave adds a message to those that wait; mu is held. */
static int leave(sr_crew *c, const ck_byte *b, size_t n) {
	if (c->room - c->size < n) {
		size_t room = 2 * (c->size + n);
		ck_byte *larger = malloc(room);
		if (!larger) return ENOMEM;
		if (c->waiting) {
			memcpy(larger, c->waiting, c->size);
			explicit_bzero(c->waiting, c->size);
			free(c->waiting);
		}
		c->waiting = larger;
		c->room = room;
	}
	memcpy(c->waiting + c->size, b, n);
	c->size += n;
	return 0;
}

int sr_crew_send(sr_crew *c, ck_byte *messages, ck_ulong n) {
	pthread_mutex_lock(&c->mu);
	int fault = c->fault;
	if (!fault) fault = leave(c, messages, n);
	if (fault == ENOMEM) c->fault = fault;
	if (fault || c->writing) {
		pthread_mutex_unlock(&c->mu);
		return fault;
	}
	c->writing = 1;
	while (c->size > 0 && !c->fault) {
		ck_byte *b = c->waiting;
		size_t size = c->size, room = c->room;
		c->waiting = c->spare;
		c->room = c->spare_room;
		c->size = 0;
		c->spare = NULL;
		c->spare_room = 0;
		pthread_mutex_unlock(&c->mu);
		fault = write_all(c->server, b, size);
		explicit_bzero(b, size);
		pthread_mutex_lock(&c->mu);
		c->fault = fault;
		if (room > ROOM) free(b);
		else {
			c->spare = b;
			c->spare_room = room;
		}
	}
	c->writing = 0;
	fault = c->fault;
	pthread_mutex_unlock(&c->mu);
	return fault;
}

/* drop wipes a call and frees it. */
static void drop(call *x) {
	if (x->answer) {
		explicit_bzero(x->answer, x->answer_room);
		free(x->answer);
	}
	explicit_bzero(x->message, x->size);
	free(x);
}

/* done is the end of a call that was counted in. */
static void done(sr_crew *c) {
	if (atomic_fetch_sub(&c->busy, 1) > 1) return;
	pthread_mutex_lock(&c->mu);
	pthread_cond_broadcast(&c->ended);
	pthread_mutex_unlock(&c->mu);
}

void sr_crew_wait(sr_crew *c) {
	pthread_mutex_lock(&c->mu);
	while (atomic_load(&c->busy) > 0) pthread_cond_wait(&c->ended, &c->mu);
	pthread_mutex_unlock(&c->mu);
}

/* widen gives a call an answer with room for n bytes of result. */
static int widen(call *x, size_t n) {
	if (x->answer) {
		explicit_bzero(x->answer, x->answer_room);
		free(x->answer);
	}
	x->answer_room = BEFORE + n + 8 + x->job.iv_len;
	x->answer = malloc(x->answer_room);
	x->job.out = x->answer ? x->answer + BEFORE : NULL;
	x->job.out_len = n;
	return x->answer != NULL;
}

/*
 * perform makes a call, and makes it go on with a larger buffer where the module asks for one. A success that claims more
 * bytes than there is room for is none.
 */
static void perform(sr_job *j) {
	call *x = (call *)j;
	for (ck_ulong room = j->out_len;;) {
		if (!widen(x, room)) {
			j->result = (sr_result){CKR_HOST_MEMORY, 0, j->resume};
			return;
		}
		j->result = sr_operate(j->m, j->operation, j->resume, j->session, j->type, j->kind, j->iv, j->iv_len, j->extra, j->extra_len,
			j->a, j->b, j->c, j->key, j->in, j->in_len, j->out, j->out_len);
		ck_ulong n = j->result.n;
		if (j->result.rv == 0 && n > room) j->result = (sr_result){CKR_GENERAL_ERROR, 0, 1};
		if (j->result.rv != CKR_BUFFER_TOO_SMALL || j->resume || n <= room || n > room + j->in_len + (64 << 10)) return;
		room = n;
		j->resume = 1;
	}
}

/* finish sends the answer of a call. */
static void finish(sr_job *j) {
	call *x = (call *)j;
	sr_crew *c = x->crew;
	ck_byte fault[HEAD + 1 + 8 + 1], *a = fault;
	size_t n = sizeof fault;
	if (j->result.rv == 0) {
		a = x->answer;
		n = BEFORE + j->result.n + 8 + j->iv_len;
		a[HEAD] = SR_OUTCOME_GOOD;
		put64(a + HEAD + 1, j->result.n);
		put64(a + BEFORE + j->result.n, j->iv_len);
		memcpy(a + BEFORE + j->result.n + 8, j->iv, j->iv_len);
	} else {
		a[HEAD] = SR_OUTCOME_CK;
		put64(a + HEAD + 1, j->result.rv);
		a[HEAD + 1 + 8] = j->result.begun != 0;
	}
	put32(a, (uint32_t)(n - 4));
	put32(a + 4, x->number);
	(void)sr_crew_send(c, a, n); /* a server that is gone needs none */
	drop(x);
	done(c);
}

/* A cursor reads a message; what is not there makes it torn. */
typedef struct {
	ck_byte *at;
	size_t left;
	int torn;
} cursor;

static ck_ulong number(cursor *r) {
	if (r->left < 8) {
		r->torn = 1;
		return 0;
	}
	ck_ulong n = get64(r->at);
	r->at += 8;
	r->left -= 8;
	return n;
}

static ck_byte *bytes(cursor *r, ck_ulong *n) {
	*n = number(r);
	if (r->torn || *n > r->left) {
		r->torn = 1;
		*n = 0;
		return NULL;
	}
	ck_byte *b = r->at;
	r->at += *n;
	r->left -= *n;
	return b;
}

/* parse says whether a message is a call that is made here, whole. */
static int parse(sr_crew *c, call *x) {
	ck_byte f = x->size ? x->message[0] : 0;
	if (!c->m || f < SR_FN_ENCRYPT || f > SR_FN_SIGN) return 0;
	cursor r = {x->message + 1, x->size - 1, 0};
	sr_job *j = &x->job;
	j->m = c->m;
	j->operation = SR_ENCRYPT + (f - SR_FN_ENCRYPT);
	j->session = number(&r);
	j->type = number(&r);
	ck_ulong kind = number(&r);
	j->kind = (int)kind;
	j->a = number(&r); /* the hash */
	j->b = number(&r);
	j->c = number(&r);
	j->iv = bytes(&r, &j->iv_len);
	j->extra = bytes(&r, &j->extra_len);
	j->key = number(&r);
	j->in = bytes(&r, &j->in_len);
	j->out_len = number(&r);
	if (kind == SR_GCM || kind == SR_CTR) j->a = 128; /* bits of tag, of counter */
	j->perform = perform;
	j->finish = finish;
	return !r.torn && r.left == 0 && kind <= SR_PSS && j->out_len <= LONGEST;
}

/*
 * here says whether a call is made in the reader's own thread: one that computes on this machine's processors, where it has been
 * alone for a while, and where another thread would save no time. That is a quick one, when nothing that has been read is behind
 * it or one at a time is the most anyway. A call that waits for a device may hang, and would keep those of other devices unread.
 */
static int here(sr_crew *c, sr_lanes *lanes, int alone, int more) {
	if (!sr_lanes_local(lanes)) return 0;
	if (lanes == c->quick && (!more || sr_lanes_most(lanes) == 1)) return 1;
	if (!alone || more) c->crowded = CROWD;
	else if (c->crowded > 0) c->crowded--;
	else return 1;
	return 0;
}

/* begin makes a call, here or in a lane. */
static void begin(sr_crew *c, call *x, int more) {
	sr_lanes *lanes = sr_slow(x->job.type) ? c->slow : c->quick;
	int alone = atomic_fetch_add(&c->busy, 1) == 0;
	if (here(c, lanes, alone, more)) {
		sr_lanes_run(lanes, &x->job);
		finish(&x->job);
		return;
	}
	if (sr_lanes_put(lanes, &x->job) != 0) {
		x->job.result = (sr_result){CKR_HOST_MEMORY, 0, 0};
		finish(&x->job);
	}
}

/* forward gives a message to Go. */
static int forward(sr_crew *c, call *x) {
	ck_byte head[HEAD];
	put32(head, (uint32_t)x->size + 4);
	put32(head + 4, x->number);
	int fault = write_all(c->rest, head, HEAD);
	if (!fault) fault = write_all(c->rest, x->message, x->size);
	return fault;
}

/* What the reader has read and not yet taken. */
typedef struct {
	ck_byte buffer[ROOM];
	size_t first, end;
} mailbox;

/* fill reads n bytes; 0 when the server has ended. */
static int fill(int from, mailbox *m, ck_byte *to, size_t n) {
	while (n > 0) {
		if (m->first == m->end) {
			int whole = n >= sizeof m->buffer;
			ssize_t got = whole ? read(from, to, n) : read(from, m->buffer, sizeof m->buffer);
			if (got < 0 && errno == EINTR) continue;
			if (got <= 0) return 0;
			if (whole) {
				to += got;
				n -= (size_t)got;
				continue;
			}
			m->first = 0;
			m->end = (size_t)got;
		}
		size_t take = m->end - m->first < n ? m->end - m->first : n;
		memcpy(to, m->buffer + m->first, take);
		explicit_bzero(m->buffer + m->first, take);
		m->first += take;
		to += take;
		n -= take;
	}
	return 1;
}

static void *reader(void *arg) {
	sr_crew *c = arg;
	mailbox *m = calloc(1, sizeof *m);
	for (ck_byte head[HEAD]; m && fill(c->server, m, head, HEAD);) {
		uint32_t n = get32(head);
		if (n < 4 || n > LONGEST) break;
		call *x = calloc(1, sizeof *x + n);
		if (!x) break;
		x->crew = c;
		x->number = get32(head + 4);
		x->size = n - 4;
		int whole = fill(c->server, m, x->message, x->size);
		if (whole && parse(c, x)) {
			begin(c, x, m->first != m->end);
			continue;
		}
		if (whole) whole = forward(c, x) == 0;
		drop(x);
		if (!whole) break;
	}
	free(m);
	shutdown(c->rest, SHUT_WR);
	return NULL;
}

sr_crew *sr_crew_new(void *m, int server, int rest, sr_lanes *quick, sr_lanes *slow) {
	sr_crew *c = calloc(1, sizeof *c);
	if (!c) return NULL;
	c->m = m;
	c->server = server;
	c->rest = rest;
	c->quick = quick;
	c->slow = slow;
	c->crowded = CROWD; /* the first calls go through lanes, which look where the time goes */
	pthread_mutex_init(&c->mu, NULL);
	pthread_cond_init(&c->ended, NULL);
	int fault = sr_thread(reader, c);
	if (!fault) return c;
	free(c);
	errno = fault;
	return NULL;
}
