/* SPDX-License-Identifier: Apache-2.0 */
/* adopt.c: takes over the workers of a weaved that has died
 *
 * They serve on meanwhile. A worker is found in the roster, is known again by
 * the time its process was born, and gets a new control channel on a connection
 * to its socket. That needs the secret of its application, which comes with
 * what httpd wants; until then it is watched only. */
#include "app.h"

#include <errno.h>
#include <signal.h>
#include <unistd.h>

#include <apr_strings.h>

#include "control.h"
#include "worker.h"

#define SECRETS_US (30 * SUPER_SECOND) /* httpd sends them at once */
#define JOIN_US (5 * SUPER_SECOND)

static super_timer_t overdue_timer;

static void join_fail(super_worker_t *worker, const char *why)
{
    super_client_end(worker);
    super_worker_log(worker, WEAVE_LINE_ERROR,
                     "WEAVE0085: , of a weaved that has died, cannot be taken"
                     " over, so it is killed: %s",
                     why);
    worker->events->failed(worker, why);
}

static void join_timed_out(void *data)
{
    join_fail(data, "it does not answer");
}

/* Makes the connection of WORKER, which has sent its WELCOME, its control
 * channel. */
static void worker_joined(super_worker_t *worker)
{
    super_client_t *client = worker->client;
    int fd = client->fd;

    if (client->welcome.pid != (uint32_t)worker->pid ||
        client->welcome.generation != worker->generation->number) {
        join_fail(worker, "it is another process than the one in the roster");
        return;
    }
    if (client->part.board_fd >= 0 &&
        weave_board_map(&worker->board, client->part.board_fd, 0) !=
            APR_SUCCESS)
        worker->board = NULL;
    super_watch_cancel(&client->watch);
    client->fd = -1;
    super_client_end(worker);
    if (super_worker_connect(worker, fd) != APR_SUCCESS) {
        join_fail(worker, "there are no descriptors left");
        return;
    }
    super_worker_log(worker, WEAVE_LINE_DEBUG,
                     ", of generation %u, has accepted this weaved",
                     worker->generation->number);
    if (worker->state == SUPER_LEAVING)
        super_channel_send_op(&worker->channel, "drain");
    else if (worker->state == SUPER_ENDING)
        super_channel_send_op(&worker->channel, "quit");
}

static void join_event(super_worker_t *worker, apr_status_t rv)
{
    if (rv == APR_SUCCESS)
        worker_joined(worker);
    else if (rv == EBADMSG || rv == EPROTO)
        join_fail(worker, "its answer is no WELCOME, or of another version"
                          " of mod_weave");
    else
        join_fail(worker, "it has closed the connection");
}

/* Says HELLO to a worker that is adopted. */
static void worker_join(super_worker_t *worker)
{
    weave_hello_frame_t hello = weave_hello_make(
        WEAVE_ROLE_SUPERVISOR, &worker->generation->app->secret);
    apr_status_t rv;
    char why[120];

    if (!worker->unjoined || worker->state == SUPER_ENDING)
        return;
    worker->unjoined = 0;
    rv = super_client_start(worker, 0,
                            apr_pmemdup(worker->pool, &hello, sizeof(hello)),
                            sizeof(hello), join_event);
    if (rv == APR_SUCCESS)
        super_timer_set(&worker->client->limit, JOIN_US, join_timed_out,
                        worker);
    /* one that drains may have closed its listener */
    else if (rv != ECONNREFUSED || worker->state != SUPER_LEAVING)
        join_fail(worker, apr_strerror(rv, why, sizeof(why)));
}

void super_adopt_join(super_app_t *app, const weave_secret_t *secret)
{
    app->secret = *secret;
    super_app_workers_each(app, worker_join);
}

static void secrets_are_overdue(void *data)
{
    const super_app_t *app = super.apps;

    (void)data;
    while (app && (!app->wanted || app->spec))
        app = app->next;
    if (app)
        super_log(NULL, WEAVE_LINE_ERROR,
                  "WEAVE0201: httpd has not told this weaved, which has taken"
                  " over workers, what it wants: they serve, but none that"
                  " dies is replaced before `apachectl graceful`");
}

static super_app_t *app_get(uint32_t index)
{
    super_app_t *app = super_app_find(index);

    /* the name comes with the first `want` */
    return app ? app
               : super_app_make(
                     index, apr_psprintf(super.pool, "application %u", index));
}

static super_generation_t *generation_get(super_app_t *app, uint32_t number)
{
    const weave_roster_app_t *shown = &super.roster->apps[app->index];
    super_generation_t *generation = app->generations;
    int serves = atomic_load(&shown->generation) == number &&
                 atomic_load(&shown->state) != WEAVE_APP_NONE;

    while (generation && generation->number != number)
        generation = generation->next;
    if (generation)
        return generation;
    generation = super_generation_make(app, number,
                                       serves ? SUPER_SERVING : SUPER_DRAINING);
    if (serves) {
        app->serving = generation;
        generation->identity = shown->identity[0] | (uint64_t)shown->identity[1]
                                                        << 32;
    }
    return generation;
}

/* Returns a descriptor of the process in ENTRY, or -1 where that has ended,
 * even if its pid is in use again. */
static int process_find(const weave_roster_worker_t *entry)
{
    uint64_t birth = entry->birth[0] | (uint64_t)entry->birth[1] << 32;
    int pidfd = (int)entry->pid > 0 ? super_pidfd_open((pid_t)entry->pid) : -1;

    if (pidfd >= 0 && super_process_birth((pid_t)entry->pid) == birth)
        return pidfd;
    if (pidfd >= 0)
        close(pidfd);
    return -1;
}

static int entry_adopt(uint32_t slot, const weave_roster_worker_t *entry)
{
    static const weave_roster_worker_t nobody;
    uint32_t state = atomic_load(&entry->state);
    int pidfd = process_find(entry);
    super_worker_t *worker;
    super_generation_t *generation;

    if (entry->app >= WEAVE_ROSTER_APPS || pidfd < 0 ||
        (state != WEAVE_WORKER_READY && state != WEAVE_WORKER_DRAINING)) {
        if (pidfd >= 0) {
            super_pidfd_kill(pidfd, SIGKILL);
            close(pidfd);
        }
        super_dir_unlink(entry->socket);
        weave_roster_worker_set(super.roster, slot, &nobody);
        return 0;
    }
    generation = generation_get(app_get(entry->app), entry->generation);
    worker = super_worker_adopt(generation, (int)slot, entry, pidfd);
    if (state != WEAVE_WORKER_READY || generation->state != SUPER_SERVING) {
        worker->state = SUPER_LEAVING;
        super_worker_publish(worker, WEAVE_WORKER_DRAINING);
    }
    return 1;
}

/* A slot that a weaved was just writing when it died reads as free. Its process
 * ends with httpd, by the lifeline. */
void super_adopt_roster(void)
{
    uint32_t i, taken = 0;

    for (i = 0; i < WEAVE_ROSTER_WORKERS; i++) {
        weave_roster_worker_t entry;

        weave_roster_worker_get(&entry, super.roster, i);
        if (atomic_load(&entry.state) != WEAVE_WORKER_FREE)
            taken += (uint32_t)entry_adopt(i, &entry);
    }
    if (!taken)
        return;
    super_timer_set(&overdue_timer, SECRETS_US, secrets_are_overdue, NULL);
    super_log(NULL, WEAVE_LINE_NOTICE,
              "WEAVE0086: weaved %ld goes on in the place of one that has"
              " died, with its %u workers",
              (long)getpid(), taken);
}
