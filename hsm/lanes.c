#define _GNU_SOURCE
#include "lanes.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

enum { CKM_SHA512_RSA_PKCS_PSS = 0x45, CKM_ECDSA = 0x1041, CKM_JUNIPER_KEY_GEN = 0x1060 };

struct sr_lanes {
	pthread_mutex_t mu;
	pthread_cond_t work;
	sr_job *first, *last; /* waiting */
	int few, many;
	int lanes, idle; /* threads, and those of them that wait for a job */
	int running;
	unsigned count;
	_Atomic int local; /* an operation was seen that computed in its thread */
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

static double seconds(clockid_t clock) {
	struct timespec t;
	clock_gettime(clock, &t);
	return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

void sr_perform(sr_job *j) {
	if (j->perform) j->perform(j);
	else j->result = sr_operate(j->m, j->operation, j->resume, j->session, j->type, j->kind, j->iv, j->iv_len, j->extra, j->extra_len,
		j->a, j->b, j->c, j->key, j->in, j->in_len, j->out, j->out_len);
}

/*
 * judge runs a job and sees where its time goes. An operation that spent half of its time on a processor was computed here.
 * That is looked for in some operations only, and a thread that had to wait for a processor shows less than it used: one
 * that shows enough decides.
 */
static void judge(sr_lanes *l, sr_job *j) {
	double wall = seconds(CLOCK_MONOTONIC), cpu = seconds(CLOCK_THREAD_CPUTIME_ID);
	sr_perform(j);
	cpu = seconds(CLOCK_THREAD_CPUTIME_ID) - cpu;
	wall = seconds(CLOCK_MONOTONIC) - wall;
	if (j->result.rv == 0 && cpu > wall / 2) atomic_store(&l->local, 1);
}

static void tell(sr_lanes *l, sr_job *j) {
	sr_job *head = atomic_load(&l->done);
	do j->next = head;
	while (!atomic_compare_exchange_weak(&l->done, &head, j));
	if (head) return; /* whoever put that one in has told */
	uint64_t one = 1;
	while (write(l->descriptor, &one, sizeof one) < 0 && errno == EINTR) {}
}

static int most(sr_lanes *l) { return atomic_load(&l->local) ? l->few : l->many; }

static void *lane(void *arg) {
	sr_lanes *l = arg;
	pthread_mutex_lock(&l->mu);
	for (;;) {
		while (!l->first || l->running >= most(l)) {
			l->idle++;
			pthread_cond_wait(&l->work, &l->mu);
			l->idle--;
		}
		sr_job *j = l->first;
		l->first = j->next;
		l->running++;
		int look = !atomic_load(&l->local) && l->count++ % 16 == 0;
		pthread_mutex_unlock(&l->mu);
		if (look) judge(l, j);
		else sr_perform(j);
		if (j->finish) j->finish(j);
		else tell(l, j);
		pthread_mutex_lock(&l->mu);
		l->running--;
	}
	return NULL;
}

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

/* start makes one more lane. */
static int start(sr_lanes *l) {
	int fault = sr_thread(lane, l);
	if (!fault) l->lanes++;
	return fault;
}

int sr_slow(ck_ulong type) { return type <= CKM_SHA512_RSA_PKCS_PSS || (type >= CKM_ECDSA && type < CKM_JUNIPER_KEY_GEN); }

int sr_lanes_put(sr_lanes *l, sr_job *job) {
	int fault = 0, wake = 0;
	job->next = NULL;
	pthread_mutex_lock(&l->mu);
	if (l->idle == 0 && l->lanes < most(l)) fault = start(l);
	if (l->lanes > 0) {
		fault = 0;
		if (l->first) l->last->next = job;
		else l->first = job;
		l->last = job;
		wake = l->idle > 0 && l->running < most(l);
	}
	pthread_mutex_unlock(&l->mu);
	if (wake) pthread_cond_signal(&l->work);
	return fault;
}

sr_job *sr_lanes_take(sr_lanes *l) { return atomic_exchange(&l->done, NULL); }

int sr_lanes_local(sr_lanes *l) { return atomic_load(&l->local); }

int sr_lanes_few(sr_lanes *l) { return l->few; }

void sr_lanes_forget(sr_lanes *l) { atomic_store(&l->local, 0); }
