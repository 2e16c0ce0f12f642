#define _GNU_SOURCE
#include "lanes.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <unistd.h>

enum { CKM_SHA512_RSA_PKCS_PSS = 0x45, CKM_ECDSA = 0x1041, CKM_JUNIPER_KEY_GEN = 0x1060 };

struct sr_lanes {
	pthread_mutex_t mu;
	pthread_cond_t work;
	sr_job *first, *last; /* waiting */
	int few, many;
	int lanes, idle; /* threads, and those of them that wait for a job */
	int running;
	_Atomic unsigned count;
	_Atomic int score, local; /* what was seen, and what follows from it: operations compute in their threads */
	_Atomic(sr_job *) done;
	int descriptor;
};

sr_lanes *sr_lanes_new(int few, int many, int *descriptor) {
	sr_lanes *l = calloc(1, sizeof *l);
	if (!l) return NULL;
	pthread_mutex_init(&l->mu, NULL);
	pthread_cond_init(&l->work, NULL);
	l->few = few;
	l->many = many;
	l->descriptor = *descriptor = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (l->descriptor < 0) {
		free(l);
		return NULL;
	}
	return l;
}

static void perform(sr_job *j) {
	if (j->perform) j->perform(j);
	else j->result = sr_operate(j->m, j->operation, j->resume, j->session, j->type, j->kind, j->iv, j->iv_len, j->extra, j->extra_len,
		j->a, j->b, j->c, j->key, j->in, j->in_len, j->out, j->out_len);
}

enum { SURE = 8, ONCE_IN = 16 };

/* switches is how often the thread has given its processor up of itself, because it had to wait for something. */
static long switches(void) {
	struct rusage u;
	return getrusage(RUSAGE_THREAD, &u) == 0 ? u.ru_nvcsw : 0;
}

/*
 * For some jobs it sees whether they waited for something. One that did not has computed here, however long it took: time says
 * little on a machine that is shared, where the host may take the processor from whoever is on it. One that waited may have
 * waited for a lock of the module, which others of its operations held, so it counts less. It takes several to be sure, and
 * several to think again. Where both come to the same number of lanes there is nothing to learn.
 */
void sr_lanes_run(sr_lanes *l, sr_job *j) {
	unsigned n = atomic_fetch_add(&l->count, 1);
	if (l->few == l->many || (n >= ONCE_IN && n % ONCE_IN != 0)) {
		perform(j);
		return;
	}
	long before = switches();
	perform(j);
	int waited = switches() != before, score = atomic_load(&l->score);
	if (j->result.rv != 0) return;
	score += waited ? -1 : 2;
	if (score >= SURE) {
		score = SURE;
		atomic_store(&l->local, 1);
	} else if (score <= -SURE) {
		score = -SURE;
		atomic_store(&l->local, 0);
	}
	atomic_store(&l->score, score);
}

static void tell(sr_lanes *l, sr_job *j) {
	sr_job *head = atomic_load(&l->done);
	do j->next = head;
	while (!atomic_compare_exchange_weak(&l->done, &head, j));
	if (head) return; /* whoever put that one in has told */
	uint64_t one = 1;
	while (write(l->descriptor, &one, sizeof one) < 0 && errno == EINTR) {}
}

int sr_lanes_most(sr_lanes *l) { return atomic_load(&l->local) ? l->few : l->many; }

int sr_thread(void *(*run)(void *), void *arg) {
	sigset_t all, before;
	pthread_attr_t attributes;
	pthread_t thread;
	sigfillset(&all);
	pthread_attr_init(&attributes);
	pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	int fault = pthread_create(&thread, &attributes, run, arg);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_attr_destroy(&attributes);
	return fault;
}

static void *lane(void *arg);

/* start makes one more lane. */
static int start(sr_lanes *l) {
	int fault = sr_thread(lane, l);
	if (!fault) l->lanes++;
	return fault;
}

/*
 * next has another lane take the next job, where there is one and a lane may run: whoever put that in may have seen this lane
 * as idle when it was about to take the job before. mu is held.
 */
static void next(sr_lanes *l) {
	if (!l->first || l->running >= sr_lanes_most(l)) return;
	if (l->idle > 0) pthread_cond_signal(&l->work);
	else if (l->lanes < sr_lanes_most(l)) (void)start(l);
}

static void *lane(void *arg) {
	sr_lanes *l = arg;
	pthread_mutex_lock(&l->mu);
	for (;;) {
		while (!l->first || l->running >= sr_lanes_most(l)) {
			l->idle++;
			pthread_cond_wait(&l->work, &l->mu);
			l->idle--;
		}
		sr_job *j = l->first;
		l->first = j->next;
		l->running++;
		next(l);
		pthread_mutex_unlock(&l->mu);
		sr_lanes_run(l, j);
		if (j->finish) j->finish(j);
		else tell(l, j);
		pthread_mutex_lock(&l->mu);
		l->running--;
	}
	return NULL;
}

int sr_slow(ck_ulong type) { return type <= CKM_SHA512_RSA_PKCS_PSS || (type >= CKM_ECDSA && type < CKM_JUNIPER_KEY_GEN); }

int sr_lanes_put(sr_lanes *l, sr_job *job) {
	int fault = 0, wake = 0;
	job->next = NULL;
	pthread_mutex_lock(&l->mu);
	if (l->idle == 0 && l->lanes < sr_lanes_most(l)) fault = start(l);
	if (l->lanes > 0) {
		fault = 0;
		if (l->first) l->last->next = job;
		else l->first = job;
		l->last = job;
		wake = l->idle > 0 && l->running < sr_lanes_most(l);
	}
	pthread_mutex_unlock(&l->mu);
	if (wake) pthread_cond_signal(&l->work);
	return fault;
}

sr_job *sr_lanes_take(sr_lanes *l) { return atomic_exchange(&l->done, NULL); }

int sr_lanes_local(sr_lanes *l) { return atomic_load(&l->local); }

void sr_lanes_forget(sr_lanes *l) {
	atomic_store(&l->local, 0);
	atomic_store(&l->score, 0);
}
