/* SPDX-License-Identifier: Apache-2.0 */
/* worker_load.c: one weave-worker with an engine without Python, and clients
 * that do what clients may: tests/worker_load.t and `make tsan` run it
 *
 *   worker_load BUILD SECONDS
 *
 * Held up: what was answered has run once; what was refused, called back or
 * lost before it had started has not run. */
#include "worker_support.h"

#include <pthread.h>

#define CLIENTS 24

/* Until the fate of the request is known; -1 in *KEEP: close. */
static int answer(client_t *client, int patience_ms, int *keep)
{
    int cancelled = 0, fate, rc;
    weave_frame_t frame;

    for (;;) {
        rc = frame_read(client, &frame, cancelled ? PATIENCE_MS : patience_ms);
        if (rc < 0) {
            *keep = -1;
            return atomic_load(&test.board->started[client->slot]) ==
                           client->number
                       ? ANY
                       : NEVER;
        }
        if (rc == 0 && cancelled++) {
            printf("# no answer within a minute\n");
            atomic_fetch_add(&test.broken, 1);
            *keep = -1;
            return ANY;
        }
        if (rc == 0) {
            cancel(client);
            continue;
        }
        fate = take(client, &frame);
        frame_drop(client, &frame);
        if (rand_r(&client->seed) % 40 == 0)
            usleep(2000); /* a slow reader */
        if (fate >= 0)
            return fate;
    }
}

static int one(client_t *client)
{
    static const char *const kinds[] = {"quick", "quick", "quick", "sleep",
                                        "sleep", "read",  "large", "file",
                                        "log",   "cut",   "error"};
    static const long arguments[] = {0, 0, 0, 2000, 20000, 0, 9, 0, 3, 0, 500};
    unsigned which = rand_r(&client->seed) % 11;
    unsigned dice = (unsigned)rand_r(&client->seed) % 1000;
    long argument = arguments[which];
    int keep = 0, fate;
    char path[96];

    client->id = atomic_fetch_add(&test.next_id, 1);
    if (client->id >= IDS_MOST)
        return -1;
    if (which == 3 && dice < 10)
        argument = 600000; /* over its time */
    if (which == 6 && dice < 100)
        argument = 150; /* more than a socket holds */
    snprintf(path, sizeof(path), "/%s/%lu/%ld", kinds[which], client->id,
             argument);
    if (request_send(client, path, which == 5) < 0) {
        atomic_store(&test.fate[client->id], NEVER);
        return -1;
    }
    if (dice >= 980) { /* gone without a word */
        usleep(dice % 3 * 700);
        return -1;
    }
    fate = answer(client, dice % 10 ? 2000 : (int)(dice % 15), &keep);
    atomic_store(&test.fate[client->id], (unsigned char)fate);
    atomic_fetch_add(&test.ends[fate], 1);
    return keep;
}

static void *client_run(void *data)
{
    client_t *client = calloc(1, sizeof(*client));

    must(client != NULL, "memory");
    client->seed = (unsigned)(size_t)data;
    while (!atomic_load(&test.stopping) && open_up(client, 1) == 0) {
        while (!atomic_load(&test.stopping) && one(client) == 0)
            ;
        close(client->fd);
    }
    free(client);
    return NULL;
}

/* ---- the test ---- */

static int had_load(void)
{
    return atomic_load(&test.ends[ONCE]) > 100 &&
           atomic_load(&test.ends[NEVER]) > 0;
}

/* Until there was load, too. */
static void turn_for(int seconds)
{
    int64_t now = apr_time_now();
    int64_t end = now + seconds * APR_USEC_PER_SEC / 2;
    int64_t last = now + APR_TIME_C(1000) * PATIENCE_MS;

    while ((now = apr_time_now()) < end || (!had_load() && now < last)) {
        usleep(30000);
    }
}

/* weaved has died, and another one takes the worker over. */
static void supervise_again(void)
{
    client_t *client = calloc(1, sizeof(*client));

    must(client && open_up(client, WEAVE_ROLE_SUPERVISOR) == 0, "supervisor");
    weave_control_close(&test.channel);
    test.channel.fd = client->fd;
    free(client);
    tell("stacks");
}

static void check_runs(void)
{
    static unsigned char runs[IDS_MOST];
    unsigned long twice = 0, lost = 0, wrong = 0, i;
    FILE *in = fopen(test.log, "r");
    uint64_t id;

    must(in != NULL, test.log);
    while (fread(&id, sizeof(id), 1, in) == 1)
        if (id < IDS_MOST)
            runs[id]++;
    fclose(in);
    for (i = 0; i < IDS_MOST; i++) {
        twice += runs[i] > 1;
        lost += test.fate[i] == ONCE && !runs[i];
        wrong += test.fate[i] == NEVER && runs[i];
    }
    printf("# %lu requests: %lu answered, %lu not begun, %lu cut; %lu of them"
           " over their time\n",
           atomic_load(&test.next_id), atomic_load(&test.ends[ONCE]),
           atomic_load(&test.ends[NEVER]), atomic_load(&test.ends[ANY]),
           atomic_load(&test.timeouts));
    check(twice == 0, "no request has run twice");
    check(lost == 0, "what was answered has run");
    check(wrong == 0, "what had not started never ran");
    check(atomic_load(&test.broken) == 0, "every frame was in its place");
    check(had_load(), "there was load");
}

int main(int argc, char **argv)
{
    pthread_t threads[CLIENTS];
    apr_pool_t *pool;
    size_t i;

    must(argc == 3, "worker_load BUILD SECONDS");
    pool = support_start("worker_load", argv[1]);
    for (i = 0; i < CLIENTS; i++)
        must(pthread_create(&threads[i], NULL, client_run, (void *)(i + 1)) ==
                 0,
             "thread");
    turn_for(atoi(argv[2]));
    supervise_again();
    turn_for(atoi(argv[2]));
    tell("drain");
    for (i = 0; i < CLIENTS; i++)
        pthread_join(threads[i], NULL);
    check(exit_status(60) == 0, "a drained worker ends, with status 0");
    check_runs();
    return support_end(pool, 6);
}
