/* SPDX-License-Identifier: Apache-2.0 */
/* main.c: weave-worker: one process with one application
 *
 * weaved starts it with descriptors (weave_control.h), an environment and a
 * user that is not root. */
#include "control.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <apr_general.h>
#include <apr_strings.h>

#include "weave_fd.h"
#include "weave_host.h"

#define START_MS 60000

static __attribute__((noreturn)) void start_fail(const char *why)
{
    weave_line_say(WEAVE_LOG_CRITICAL,
                   "WEAVE0100: weave-worker cannot start: %s", why);
    _exit(1);
}

static void descriptors_take(void)
{
    int fd;

    for (fd = WEAVE_WORKER_LISTEN_FD; fd < WEAVE_WORKER_FDS; fd++)
        if (fcntl(fd, F_SETFD, FD_CLOEXEC) < 0)
            start_fail("it is started by weaved, not by hand");
    worker.listen_fd = WEAVE_WORKER_LISTEN_FD;
    worker.lifeline_fd = WEAVE_WORKER_LIFELINE_FD;
    worker.board_fd = WEAVE_WORKER_BOARD_FD;
    worker.log_fd = WEAVE_WORKER_LOG_FD;
    worker.say_fd = WEAVE_WORKER_SAY_FD;
    worker.pid = getpid();
    weave_line_output_set(worker.say_fd, worker.pid);
    fcntl(worker.listen_fd, F_SETFL,
          fcntl(worker.listen_fd, F_GETFL) | O_NONBLOCK);
    if (weave_board_map(&worker.board, worker.board_fd, 1) != APR_SUCCESS ||
        weave_memory_reopen(&worker.readonly_fd, worker.board_fd, 0) !=
            APR_SUCCESS)
        start_fail(
            "its scoreboard is of another version of mod_weave, or missing");
}

static void spec_take(const json_t *message, apr_pool_t *pool)
{
    const json_t *spec = json_object_get(message, "spec");
    char *text = spec ? json_dumps(spec, JSON_COMPACT) : NULL;
    const char *problem = "weaved has sent none";
    weave_spec_t *parsed = NULL;

    if (text)
        problem = weave_spec_parse(&parsed, text, pool);
    if (problem)
        start_fail(apr_pstrcat(pool, "its specification: ", problem, NULL));
    worker.spec = parsed;
    worker.generation =
        (uint32_t)json_integer_value(json_object_get(message, "generation"));
    free(text);
}

static void secret_take(const json_t *message)
{
    if (weave_secret_parse(&worker.secret, json_string_value(json_object_get(
                                               message, "secret"))) < 0)
        start_fail("weaved has sent no secret");
    if (json_is_true(json_object_get(message, "cores")))
        prctl(PR_SET_DUMPABLE, 1);
}

static void order_take(weave_control_t *channel, apr_pool_t *pool)
{
    json_t *message = NULL;
    const char *op;
    int passed = -1;
    long pid;

    if (weave_socket_peer(channel->fd, &worker.starter_uid, &pid) !=
            APR_SUCCESS ||
        weave_control_receive(channel, &message, &passed, START_MS) !=
            APR_SUCCESS)
        start_fail("weaved has sent no order");
    op = json_string_value(json_object_get(message, "op"));
    if (!op || strcmp(op, "start") != 0)
        start_fail("the first order of weaved is not to start");
    secret_take(message);
    spec_take(message, pool);
    json_decref(message);
    PROCESS_DEBUG("a worker of generation %u of %s, with %d threads",
                  worker.generation, worker.spec->name,
                  (int)weave_spec_int(worker.spec, WEAVE_WORKERS_THREADS));
}

/* Sets LC_CTYPE. Called before there is any thread. */
static void locale_set(void)
{
    const char *variable = NULL;
    const char *wanted = weave_locale_wanted(&variable);
    int rc = weave_locale_set(wanted);

    if (wanted && rc < 0)
        weave_line_say(WEAVE_LOG_WARNING,
                       "WEAVE0230: this machine has no locale %s, which %s"
                       " names: C libraries convert text by C.UTF-8 instead."
                       " `locale -a` lists those that it has: correct"
                       " workers.env.%s, or install the locale",
                       wanted, variable, variable);
    if (rc == -2)
        weave_line_say(WEAVE_LOG_WARNING,
                       "WEAVE0232: this machine has no locale C.UTF-8:"
                       " C libraries convert nothing but ASCII. Install it, or"
                       " set workers.env.LANG to one that `locale -a` lists");
}

int main(int argc, char **argv)
{
    weave_control_t channel = {.fd = WEAVE_WORKER_CONTROL_FD};
    apr_pool_t *pool;

    /* other processes of the same user must not read this memory */
    prctl(PR_SET_DUMPABLE, 0);
    memory_bound();
    if (apr_initialize() != APR_SUCCESS ||
        apr_pool_create(&pool, NULL) != APR_SUCCESS)
        start_fail("no memory");
    apr_pool_tag(pool, "weave_worker");
    if (argc > 1 && !strcmp(argv[1], WEAVE_PROBE_OPTION))
        return probe_run(argc, argv, pool);
    worker.listen_fd = worker.readonly_fd = -1;
    descriptors_take();
    order_take(&channel, pool);
    locale_set();
    title_set(argc, argv, worker.spec->name);
    worker.epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    worker.wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    worker.stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (worker.epoll_fd < 0 || worker.wake_fd < 0 || worker.stop_fd < 0 ||
        control_start(&channel) != 0)
        start_fail(strerror(errno));
    signals_start();
    fork_prepare();
    application_start(pool);
    application_wait();
    if (!worker.forked)
        worker.engine
            ->finish(); /* the control thread ends it when its time is over */
    _exit(0);
}
