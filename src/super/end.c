/* SPDX-License-Identifier: Apache-2.0 */
/* end.c: how weaved ends: first its workers, then itself */
#include "end.h"

#include "worker.h"

/* How long workers get to leave when httpd is gone. */
#define QUIT_US (3 * SUPER_SECOND)

static super_timer_t quit_timer;

void super_end_check(void)
{
    const super_app_t *app;
    const super_generation_t *generation;

    if (!super.ending)
        return;
    for (app = super.apps; app; app = app->next)
        for (generation = app->generations; generation;
             generation = generation->next)
            if (generation->workers)
                return;
    super_loop_end();
}

static void workers_kill(void *data)
{
    super_app_t *app;
    super_generation_t *generation;
    super_worker_t *worker;

    (void)data;
    for (app = super.apps; app; app = app->next)
        for (generation = app->generations; generation;
             generation = generation->next)
            for (worker = generation->workers; worker; worker = worker->next)
                super_worker_kill(worker);
    /* a process that SIGKILL does not end hangs in the kernel */
    super_timer_set(&quit_timer, SUPER_SECOND, (super_timer_fn *)super_loop_end,
                    NULL);
}

void super_end_begin(void)
{
    super_app_t *app;
    super_generation_t *generation;
    super_worker_t *worker;

    if (super.ending)
        return;
    super.ending = 1;
    for (app = super.apps; app; app = app->next) {
        super_timer_cancel(&app->retry);
        super_timer_cancel(&app->poll);
        for (generation = app->generations; generation;
             generation = generation->next)
            for (worker = generation->workers; worker; worker = worker->next)
                super_worker_quit(worker);
    }
    super_timer_set(&quit_timer, QUIT_US, workers_kill, NULL);
    super_end_check();
}
