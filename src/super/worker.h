/* SPDX-License-Identifier: Apache-2.0 */
/* worker.h: one worker, from its start to its end
 *
 * What happens to it is told through worker->events. */
#ifndef SUPER_WORKER_H
#define SUPER_WORKER_H

#include "super.h"

/* worker.c */

/* Starts a worker of GENERATION. Returns NULL, or why it cannot be started (in
 * the generation's pool). */
const char *super_worker_start(super_generation_t *generation);
/* Makes one of a process that runs already, in SLOT of the roster. Takes
 * PIDFD. */
super_worker_t *super_worker_adopt(super_generation_t *generation, int slot,
                                   const weave_roster_worker_t *entry,
                                   int pidfd);
/* Makes FD, which it takes, the control channel of WORKER. */
apr_status_t super_worker_connect(super_worker_t *worker, int fd);
/* Publishes its state in the roster; WEAVE_WORKER_FREE gives its slot up. */
void super_worker_publish(super_worker_t *worker, uint32_t state);
/* Frees everything of it but its process. */
void super_worker_free(super_worker_t *worker);
/* Reads the requests that it has from its board, bounded. */
void super_worker_load_get(const super_worker_t *worker, unsigned *running,
                           unsigned *queued);

/* leave.c */

/* Tells it to finish its requests, in the time that one may take, and leave. */
void super_worker_drain(super_worker_t *worker);
/* Sets the time that its drain may take: its application's is known now. */
void super_worker_drain_limit_set(super_worker_t *worker);
/* Kills it. Its end is awaited as any other, but not logged. */
void super_worker_kill(super_worker_t *worker);
/* Tells it to leave at once. */
void super_worker_quit(super_worker_t *worker);

#endif
