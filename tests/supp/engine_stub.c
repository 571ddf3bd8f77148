/* SPDX-License-Identifier: Apache-2.0 */
/* engine_stub.c: an engine without Python, for tests of weave-worker alone
 *
 * The path of a request says what to do: /KIND/ID/ARGUMENT. That it has begun,
 * once the host lets it, is noted in the file STUB_LOG, as the eight bytes of
 * its ID. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "weave_engine.h"

#define PART 50000

static const weave_host_t *host;
static int log_fd = -1, file_fd = -1;

static const char *runtime_version(void)
{
    return "3.11";
}

static const char *start(const weave_app_t *app, const weave_host_t *given)
{
    const char *path = getenv("STUB_LOG");

    (void)app;
    host = given;
    log_fd = path ? open(path, O_WRONLY | O_APPEND | O_CLOEXEC) : -1;
    file_fd = memfd_create("stub", MFD_CLOEXEC);
    if (log_fd < 0 || file_fd < 0 || ftruncate(file_fd, 1 << 20) < 0)
        return "the stub needs STUB_LOG";
    return NULL;
}

static const char *load(void)
{
    return NULL;
}

static void release(void *owner)
{
    free(owner);
}

static void head(const weave_request_t *request, int64_t length)
{
    static const char arena[] = "200 OK\0X-Stub\0one";
    weave_header_t header = {arena + 7, arena + 14};
    weave_head_t given = {200, arena, &header, 1, length, arena, sizeof(arena)};

    host->head_send(request->host, &given);
}

static int give(const weave_request_t *request, size_t len, int flags)
{
    char *data = malloc(len);
    weave_piece_t piece = {data, len, data};

    if (!data)
        return WEAVE_RUN_CUT;
    memset(data, 'x', len);
    /* cppcheck-suppress memleak ; the host has it now */
    return host->body_send(request->host, &piece, 1, flags) == WEAVE_IO_OK
               ? WEAVE_RUN_DONE
               : WEAVE_RUN_GONE;
}

/* ---- what a request may want ---- */

static int quick(const weave_request_t *request, long argument)
{
    (void)argument;
    head(request, 5);
    return give(request, 5, WEAVE_SEND_LAST);
}

static int sleepy(const weave_request_t *request, long us)
{
    struct timespec pause = {us / 1000000, us % 1000000 * 1000};

    nanosleep(&pause, NULL);
    return quick(request, 0);
}

static int reading(const weave_request_t *request, long argument)
{
    char data[4096];
    ssize_t got = 0;

    (void)argument;
    if (!request->body_complete)
        while ((got = host->body_read(request->host, data, sizeof(data))) > 0)
            ;
    return got < 0 ? WEAVE_RUN_GONE : quick(request, 0);
}

static int large(const weave_request_t *request, long parts)
{
    int rc = WEAVE_RUN_DONE;

    head(request, -1);
    while (rc == WEAVE_RUN_DONE && parts-- > 1)
        rc = give(request, PART, parts % 3 ? 0 : WEAVE_SEND_FLUSH);
    return rc == WEAVE_RUN_DONE ? give(request, PART, WEAVE_SEND_LAST) : rc;
}

static int file(const weave_request_t *request, long argument)
{
    (void)argument;
    head(request, 1000);
    return host->file_send(request->host, file_fd, 0, 1000) == WEAVE_IO_OK
               ? WEAVE_RUN_DONE
               : WEAVE_RUN_GONE;
}

static int logging(const weave_request_t *request, long lines)
{
    while (lines-- > 0)
        host->log(request->host, WEAVE_LOG_ERROR, "a line", 6);
    return quick(request, 0);
}

static int cut(const weave_request_t *request, long argument)
{
    (void)argument;
    head(request, 10);
    give(request, 5, 0);
    return WEAVE_RUN_CUT;
}

static int failing(const weave_request_t *request, long status)
{
    (void)request;
    return (int)status;
}

static const struct {
    const char *kind;
    int (*run)(const weave_request_t *request, long argument);
} kinds[] = {{"quick", quick}, {"sleep", sleepy},  {"read", reading},
             {"large", large}, {"file", file},     {"log", logging},
             {"cut", cut},     {"error", failing}, {NULL, NULL}};

/* There is no GIL here: what it would tell the host is made up, and changes. */
static void host_tell(const weave_request_t *request, uint64_t id)
{
    host->python_entered(request->host, id % 16 < 12 ? 0 : (int)(id % 4));
}

static int run(const weave_request_t *request)
{
    const char *path = "";
    char kind[16] = "";
    uint64_t id = 0;
    long argument = 0;
    size_t i;

    for (i = 0; i < request->vars_count; i++)
        if (request->vars[i].key == WEAVE_VAR_PATH_INFO)
            path = request->vars[i].value;
    if (sscanf(path, "/%15[a-z]/%lu/%ld", kind, &id, &argument) != 3 ||
        write(log_fd, &id, sizeof(id)) != (ssize_t)sizeof(id))
        return 500;
    host_tell(request, id);
    for (i = 0; kinds[i].kind; i++)
        if (!strcmp(kinds[i].kind, kind))
            return kinds[i].run(request, argument);
    return 404;
}

/* ---- the rest of an engine ---- */

static void finish(void)
{
}

static int is_running(void)
{
    return 0;
}

static void wait_for(int fd)
{
    struct pollfd wait = {fd, POLLIN, 0};

    while (poll(&wait, 1, -1) < 0 && errno == EINTR)
        ;
}

static void on_stacks(int signum)
{
    (void)signum;
}

static int stacks_on(int signum, int fd)
{
    struct sigaction action = {.sa_handler = on_stacks, .sa_flags = SA_RESTART};

    (void)fd;
    return sigaction(signum, &action, NULL);
}

extern __attribute__((visibility("default"))) const weave_engine_t weave_engine;
const weave_engine_t weave_engine = {WEAVE_ENGINE_MAGIC,
                                     WEAVE_ENGINE_ABI,
                                     sizeof(weave_engine_t),
                                     "3.11",
                                     "python3.11",
                                     runtime_version,
                                     start,
                                     load,
                                     run,
                                     release,
                                     finish,
                                     is_running,
                                     wait_for,
                                     stacks_on};
