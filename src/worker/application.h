/* SPDX-License-Identifier: Apache-2.0 */
/* application.h: the application in this worker, from its start to its end */
#ifndef APPLICATION_H
#define APPLICATION_H

#include "process.h"

/* application.c: Python's main thread calls these */
/* Loads the engine of SPEC into worker.engine. Returns NULL, or what is wrong.
 */
const char *application_engine_load(const weave_spec_t *spec, apr_pool_t *pool);
/* Starts Python, imports the application and starts the executors; tells weaved
 * what has failed, and ends the process then. */
void application_start(apr_pool_t *pool);
/* Runs the application's signal handlers until the worker is to end. It drains
 * when one of them raises SystemExit, as after SIGTERM. */
void application_wait(void);

/* ini.c */
/* Returns the path at which the application reads its sync.ini: that of the
 * file while it says what this worker was started with. */
const char *ini_path(const weave_spec_t *spec, apr_pool_t *pool);

/* fork.c */
/* Handles SIGTERM, and ignores what no worker dies of. */
void signals_start(void);
/* From now on a process that the application forks lets go what is ours. */
void fork_prepare(void);

/* title.c */
/* Sets what ps shows. */
void title_set(int argc, char **argv, const char *name);

/* probe.c */
/* Runs `weave-worker --probe` (weave_control.h). Does not return. */
int probe_run(int argc, char **argv, apr_pool_t *pool);

#endif
