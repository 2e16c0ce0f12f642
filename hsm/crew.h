/*
 * A crew serves the socket of a worker process: it reads what the server asks for, makes the calls that take a module's
 * time in lanes, and has each answered by the lane that made it, so that such a call costs no more changes of thread than it
 * must, and none of them is Go's. Every other message goes on to Go, as it is. wire.go says what a message looks like.
 */
#ifndef STRONGROOM_CREW_H
#define STRONGROOM_CREW_H

#include "lanes.h"

/* The functions that a crew knows, and how a call ended; wire.go has their names in Go. */
enum { SR_FN_ENCRYPT = 18, SR_FN_DECRYPT, SR_FN_SIGN };
enum { SR_OUTCOME_GOOD, SR_OUTCOME_CK };

typedef struct sr_crew sr_crew;

/*
 * sr_crew_new makes a crew that serves server with the module m, through lanes for quick and for slow mechanisms, and writes
 * what is Go's to rest; both are sockets that block. NULL: errno says why. It ends with the server: then rest is shut down.
 */
sr_crew *sr_crew_new(void *m, int server, int rest, sr_lanes *quick, sr_lanes *slow);

/* sr_crew_send writes whole messages to the server, between those of the crew; 0, or an errno. */
int sr_crew_send(sr_crew *c, ck_byte *messages, ck_ulong n);

/* sr_crew_wait waits until no call is under way; the server has ended. */
void sr_crew_wait(sr_crew *c);

#endif
