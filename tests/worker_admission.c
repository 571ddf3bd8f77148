/* SPDX-License-Identifier: Apache-2.0 */
/* worker_admission.c: what weave-worker starts, one request after the other
 * while its maintenance board stands still
 *
 *   worker_admission BUILD */
#include "worker_support.h"

/* The type of the last frame of its answer; *frames: how many came. */
static int asks(client_t *client, const char *path, int has_body,
                weave_admission_t admission, int *frames)
{
    weave_frame_t frame = {0};
    int fate = -1;

    *frames = 0;
    must(request_send(client, path, has_body, admission) == 0, path);
    while (fate < 0) {
        must(frame_read(client, &frame, PATIENCE_MS) == 1, path);
        fate = take(client, &frame);
        frame_drop(client, &frame);
        ++*frames;
    }
    return frame.type;
}

/* Counted when they are over, which is after their answer. */
static int has_counted(uint64_t requests)
{
    int i;

    for (i = 0; i < PATIENCE_MS / 10; i++) {
        if (atomic_load(&test.board->requests) == requests &&
            atomic_load(&test.board->running) == 0)
            return 1;
        usleep(10000);
    }
    return 0;
}

static size_t begun(void)
{
    struct stat status;

    must(stat(test.log, &status) == 0, test.log);
    return (size_t)status.st_size / sizeof(uint64_t);
}

static void check_admissions(void)
{
    client_t *client = calloc(1, sizeof(*client));
    weave_admission_t old = {epoch_now(), 0}, now, over = {0, 1}, any = {0, 0};
    int frames;

    must(client && open_up(client, WEAVE_ROLE_CLIENT) == 0, "client");
    weave_maintenance_turn(test.maintenance);
    now =
        (weave_admission_t){epoch_now(), apr_time_now() + APR_TIME_C(60000000)};
    check(asks(client, "/quick/0/0", 0, old, &frames) == WEAVE_FRAME_STALE &&
              frames == 1 && begun() == 0,
          "an old epoch is STALE, and nothing was called");
    check(asks(client, "/read/0/0", 1, old, &frames) == WEAVE_FRAME_STALE &&
              frames == 1 && begun() == 0,
          "nor was its body asked for");
    check(asks(client, "/quick/0/0", 0, over, &frames) == WEAVE_FRAME_STALE &&
              frames == 1 && begun() == 0,
          "so is what a drain let in that has become on");
    cancel(client);
    check(asks(client, "/read/0/0", 1, now, &frames) == WEAVE_FRAME_HEAD &&
              begun() == 1,
          "a CANCEL that crosses STALE is forgotten, the epoch of now runs");
    check(asks(client, "/quick/1/0", 0, any, &frames) == WEAVE_FRAME_HEAD &&
              begun() == 2,
          "without an epoch it runs");
    check(has_counted(2), "what is STALE counts as no request");
    close(client->fd);
    free(client);
}

int main(int argc, char **argv)
{
    apr_pool_t *pool;

    must(argc == 2, "worker_admission BUILD");
    pool = support_start("worker_admission", argv[1]);
    check_admissions();
    tell("drain");
    check(exit_status(60) == 0, "a drained worker ends, with status 0");
    return support_end(pool, 7);
}
