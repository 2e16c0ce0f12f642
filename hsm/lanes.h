/*
 * Lanes: threads that run operations in a module, so that no thread of Go waits in one. A job goes into the queue, a lane
 * takes it, and a descriptor that Go's poller watches says that jobs are done. How many lanes there are decides how many
 * calls run in the module at once; the other jobs wait here, which costs nothing.
 */
#ifndef STRONGROOM_LANES_H
#define STRONGROOM_LANES_H

#include "cryptoki.h"

/*
 * A job is one sr_operate. Its memory is C's, buffers included, from when it is put in until it is taken out, or until finish
 * is called, where there is one: that is told instead, in the lane.
 */
typedef struct sr_job {
	struct sr_job *next;
	void (*perform)(struct sr_job *); /* in place of one sr_operate, or NULL */
	void (*finish)(struct sr_job *);  /* NULL: sr_lanes_take gives it */
	ck_ulong number;                  /* Go's name for it */
	void *m;
	int operation, resume;
	ck_ulong session;
	ck_ulong type;
	int kind;
	ck_byte *iv;
	ck_ulong iv_len;
	ck_byte *extra;
	ck_ulong extra_len;
	ck_ulong a, b, c;
	ck_ulong key;
	ck_byte *in;
	ck_ulong in_len;
	ck_byte *out;
	ck_ulong out_len;
	sr_result result;
} sr_job;

typedef struct sr_lanes sr_lanes;

/*
 * sr_lanes_new makes lanes, of which few are used while the module computes in this process's threads and many while its
 * calls wait for something else. descriptor receives an eventfd that can be read when jobs are done. NULL: errno says why.
 */
sr_lanes *sr_lanes_new(int few, int many, int *descriptor);

/* sr_lanes_put gives a job to the lanes; 0, or an errno when there is no lane and none can be started. */
int sr_lanes_put(sr_lanes *l, sr_job *job);

/* sr_lanes_run makes the call of a job in the caller's thread, and learns from it, as a lane does. */
void sr_lanes_run(sr_lanes *l, sr_job *job);

/* sr_lanes_take gives the list of the jobs that are done. */
sr_job *sr_lanes_take(sr_lanes *l);

/* sr_lanes_local says whether operations were seen to compute in their threads. */
int sr_lanes_local(sr_lanes *l);

/* sr_lanes_most is how many jobs run at once, as far as is known now. */
int sr_lanes_most(sr_lanes *l);

/* sr_lanes_forget makes it be looked at anew. */
void sr_lanes_forget(sr_lanes *l);

/* sr_slow says whether a mechanism is one of private keys, which take a hundred times as long as the others. */
int sr_slow(ck_ulong type);

/* sr_thread starts a thread that takes no signals, which are Go's; 0, or an errno. */
int sr_thread(void *(*run)(void *), void *arg);

#endif
