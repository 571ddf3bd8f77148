/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WORKER_SUPPORT_H
#define WORKER_SUPPORT_H

/** What the tests of weave-worker alone share: one worker, with an engine that
 *  is no Python, and a client of it. TAP goes to stdout. */

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <apr_general.h>
#include <apr_strings.h>
#include <apr_tables.h>
#include <apr_time.h>

#include "weave_board.h"
#include "weave_control.h"
#include "weave_exec.h"
#include "weave_fd.h"
#include "weave_frame.h"
#include "weave_handshake.h"
#include "weave_spec.h"

#define UNUSED __attribute__((unused))
#define THREADS 4
#define QUEUE 6
#define IDS_MOST (1 << 20)
#define DATA (1 << 21)
#define PATIENCE_MS 60000 /* for what a busy machine may take */
#define GIVEN (WEAVE_WORKER_FDS - WEAVE_WORKER_LISTEN_FD)

/* of the application that the worker has */
static const weave_secret_t test_secret = {"what only its friends know"};

/* What must be true of a request. */
enum { ANY, ONCE, NEVER };

static struct {
    char folder[64], socket[96], log[96];
    pid_t pid;
    weave_control_t channel;
    weave_board_t *board;
    int lifeline, errors;
    atomic_int stopping;
    atomic_ulong next_id;
    _Atomic unsigned char fate[IDS_MOST];
    atomic_ulong ends[3], broken, timeouts;
} test;

static UNUSED void must(int ok, const char *what)
{
    if (ok)
        return;
    printf("Bail out! %s: %s\n", what, strerror(errno));
    if (test.pid > 0)
        kill(test.pid, SIGKILL);
    exit(1);
}

static UNUSED void check(int ok, const char *what)
{
    static int count;

    printf("%sok %d - %s\n", ok ? "" : "not ", ++count, what);
    test.errors += !ok;
}

/* ---- the worker ---- */

static UNUSED json_t *order(const char *build, apr_pool_t *pool)
{
    weave_spec_t spec = {
        .name = "/load.ini",
        .ini = "/load.ini",
        .ini_text = "",
        .libdir = build,
        .software = "load",
        .keys = apr_psprintf(pool,
                             "[wsgi]\nmodule = \"m\"\n"
                             "[workers]\nprocesses = 1\nthreads = %d\n"
                             "home = \"/\"\n"
                             "[limits]\nrequest_timeout = 400 ms\n"
                             "queue_length = %d\nspool_max = 128 MiB\n"
                             "spool_total = 512 MiB\n",
                             THREADS, QUEUE),
        .passed = apr_table_make(pool, 1),
        .user = "",
        .uid = -1,
        .gid = -1,
        .socket_gid = -1,
        .log_level = 4,
        .version = "3.11",
        .engine = apr_pstrcat(pool, build, "/tests/engine_stub.so", NULL),
    };
    const char *text = weave_spec_format(&spec, pool);
    char secret[WEAVE_SECRET_TEXT];

    weave_secret_format(secret, &test_secret);
    must(text != NULL, "spec");
    return json_pack("{s:s, s:s, s:o, s:i}", "op", "start", "secret", secret,
                     "spec", json_loads(text, 0, NULL), "generation", 1);
}

static UNUSED int listen_at(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    apr_cpystrn(address.sun_path, path, sizeof(address.sun_path));
    must(fd >= 0 &&
             bind(fd, (struct sockaddr *)&address, sizeof(address)) == 0 &&
             listen(fd, 128) == 0,
         path);
    return fd;
}

/* FDS become 3, 4, ...; its log is the file ERRORS. */
static UNUSED void become(const char *program, const int *fds, int errors)
{
    int from[WEAVE_WORKER_FDS] = {0, errors, errors};

    memcpy(from + WEAVE_WORKER_LISTEN_FD, fds, GIVEN * sizeof(*fds));
    if (weave_exec_descriptors(from, WEAVE_WORKER_FDS) == 0)
        execl(program, "weave-worker", "load", (char *)NULL);
    weave_exec_fail(2, program, errno);
}

static UNUSED void worker_start(const char *build, apr_pool_t *pool)
{
    const char *program = apr_pstrcat(pool, build, "/weave-worker", NULL);
    int pair[2], line[2], board, fds[GIVEN], passed;
    int errors = open(apr_pstrcat(pool, test.folder, "/errors", NULL),
                      O_CREAT | O_WRONLY | O_APPEND | O_CLOEXEC, 0600);
    json_t *message = NULL;

    must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0 &&
             pipe2(line, O_CLOEXEC) == 0 &&
             weave_board_create(&board, &test.board, THREADS) == APR_SUCCESS,
         "what a worker is given");
    fds[0] = listen_at(test.socket);
    fds[1] = pair[1];
    fds[2] = line[0];
    fds[3] = board;
    fds[4] = open("/dev/null", O_RDONLY | O_CLOEXEC);
    fds[5] = errors;
    setenv("STUB_LOG", test.log, 1);
    test.pid = fork();
    if (test.pid == 0)
        become(program, fds, errors);
    must(test.pid > 0, "fork");
    close(pair[1]);
    close(line[0]);
    close(fds[0]);
    test.lifeline = line[1];
    test.channel.fd = pair[0];
    must(weave_control_send(pair[0], order(build, pool), -1, PATIENCE_MS) ==
                 APR_SUCCESS &&
             weave_control_receive(&test.channel, &message, &passed,
                                   PATIENCE_MS) == APR_SUCCESS,
         "the worker's first word");
    must(!strcmp(json_string_value(json_object_get(message, "op")), "ready"),
         json_dumps(message, 0));
    json_decref(message);
}

static UNUSED void tell(const char *op)
{
    json_t *message = json_pack("{s:s}", "op", op);

    must(weave_control_send(test.channel.fd, message, -1, PATIENCE_MS) ==
             APR_SUCCESS,
         op);
    json_decref(message);
}

/* ---- a client ---- */

typedef struct {
    int fd;
    uint32_t slot, number;
    unsigned seed;
    unsigned long id;
    size_t len; /* of `data`, from its start */
    char data[DATA];
} client_t;

static UNUSED int send_all(int fd, const void *data, size_t len)
{
    const char *at = data;

    while (len) {
        ssize_t put = send(fd, at, len, MSG_NOSIGNAL);

        if (put <= 0)
            return -1;
        at += put;
        len -= (size_t)put;
    }
    return 0;
}

/* A whole frame at the start of `data`. 1, 0: none in time, -1: the end. */
static UNUSED int frame_read(client_t *client, weave_frame_t *frame,
                             int timeout_ms)
{
    struct pollfd wait = {client->fd, POLLIN, 0};
    int passed;
    long got;

    for (;;) {
        weave_frame_status_e status =
            weave_frame_decode(frame, client->data, client->len);

        if (status == WEAVE_FRAME_BAD || status == WEAVE_FRAME_OTHER_VERSION) {
            atomic_fetch_add(&test.broken, 1);
            return -1;
        }
        if (status == WEAVE_FRAME_OK &&
            client->len >= sizeof(*frame) + frame->bytes)
            return 1;
        if (poll(&wait, 1, timeout_ms) == 0)
            return 0;
        got =
            weave_fd_receive(client->fd, client->data + client->len,
                             sizeof(client->data) - client->len, &passed, 0, 0);
        if (passed >= 0)
            close(passed);
        if (got <= 0)
            return -1;
        client->len += (size_t)got;
    }
}

static UNUSED void frame_drop(client_t *client, const weave_frame_t *frame)
{
    size_t bytes = sizeof(*frame) + frame->bytes;

    client->len -= bytes;
    memmove(client->data, client->data + bytes, client->len);
}

static UNUSED int open_up(client_t *client, uint32_t role)
{
    weave_hello_frame_t say = weave_hello_make(role, &test_secret);
    weave_welcome_t welcome;
    weave_frame_t frame;

    client->fd = -1;
    client->len = client->number = 0;
    if (weave_socket_connect(&client->fd, test.socket, geteuid(), 0) !=
        APR_SUCCESS)
        return -1;
    if (send_all(client->fd, &say, sizeof(say)) < 0 ||
        frame_read(client, &frame, PATIENCE_MS) <= 0 ||
        frame.type != WEAVE_FRAME_WELCOME) {
        close(client->fd);
        client->fd = -1;
        return -1;
    }
    memcpy(&welcome, client->data + sizeof(frame), sizeof(welcome));
    client->slot = welcome.slot;
    frame_drop(client, &frame);
    return 0;
}

static UNUSED int request_send(client_t *client, const char *path, int has_body)
{
    static const char name[] = "PATH_INFO";
    char data[512], *to = data + sizeof(weave_frame_t);
    weave_frame_request_t fixed = {.content_length = has_body ? -1 : 0,
                                   .vars = 1};
    weave_frame_t frame;

    memcpy(to, &fixed, sizeof(fixed));
    to = weave_frame_var_write(to + sizeof(fixed), WEAVE_FRAME_VAR_NAMED, name,
                               sizeof(name) - 1, path, strlen(path));
    frame = weave_frame_make(
        WEAVE_FRAME_REQUEST, has_body ? 0 : WEAVE_FRAME_BODY_HERE,
        (size_t)(to - data) - sizeof(frame), ++client->number);
    memcpy(data, &frame, sizeof(frame));
    return send_all(client->fd, data, (size_t)(to - data));
}

/* The answer to a READ: up to five blocks, then the end. */
static UNUSED int body_send(client_t *client)
{
    struct {
        weave_frame_t frame;
        weave_frame_body_t body;
        char data[4000];
    } part = {.body = {0, 0}};
    size_t len = rand_r(&client->seed) % 5 ? sizeof(part.data) : 0;

    part.frame = weave_frame_make(WEAVE_FRAME_BODY, 0, sizeof(part.body) + len,
                                  client->number);
    return send_all(client->fd, &part,
                    sizeof(part.frame) + sizeof(part.body) + len);
}

static UNUSED void cancel(client_t *client)
{
    weave_frame_t frame =
        weave_frame_make(WEAVE_FRAME_CANCEL, 0, 0, client->number);

    send_all(client->fd, &frame, sizeof(frame));
}

/* What FRAME means for the request: its fate, or -1: it goes on. */
static UNUSED int take(client_t *client, const weave_frame_t *frame)
{
    weave_frame_end_t end;

    if (frame->number != client->number)
        atomic_fetch_add(&test.broken, 1);
    switch (frame->type) {
    case WEAVE_FRAME_CANCELLED:
    case WEAVE_FRAME_REFUSED:
        return NEVER;
    case WEAVE_FRAME_READ:
        return body_send(client) < 0 ? ANY : -1;
    case WEAVE_FRAME_END:
        memcpy(&end, client->data + sizeof(*frame), sizeof(end));
        if (end.outcome == 504)
            atomic_fetch_add(&test.timeouts, 1);
        return ONCE;
    case WEAVE_FRAME_LOG:
        return -1;
    default:
        return frame->flags & WEAVE_FRAME_LAST ? ONCE : -1;
    }
}

/* ---- its end ---- */

static UNUSED int exit_status(int seconds)
{
    int status = -1, i;

    for (i = 0; i < seconds * 100; i++) {
        if (waitpid(test.pid, &status, WNOHANG) == test.pid)
            return status;
        usleep(10000);
    }
    kill(test.pid, SIGKILL);
    waitpid(test.pid, &status, 0);
    return -1;
}

static UNUSED void folder_make(void)
{
    const char *base = getenv("TMPDIR");

    snprintf(test.folder, sizeof(test.folder), "%s/weave-load.XXXXXX",
             base ? base : "/tmp");
    must(mkdtemp(test.folder) != NULL, test.folder);
    snprintf(test.socket, sizeof(test.socket), "%s/socket", test.folder);
    snprintf(test.log, sizeof(test.log), "%s/runs", test.folder);
    close(open(test.log, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
}

static UNUSED void folder_remove(apr_pool_t *pool)
{
    unlink(test.socket);
    unlink(test.log);
    unlink(apr_pstrcat(pool, test.folder, "/errors", NULL));
    rmdir(test.folder);
}

/* A worker of BUILD in a folder of its own; NAME: of the test. */
static UNUSED apr_pool_t *support_start(const char *name, const char *build)
{
    apr_pool_t *pool;

    apr_initialize();
    apr_pool_create(&pool, NULL);
    apr_pool_tag(pool, name);
    folder_make();
    worker_start(realpath(build, NULL), pool);
    return pool;
}

/* PLAN checks were made. The exit status of the test. */
static UNUSED int support_end(apr_pool_t *pool, int plan)
{
    printf("1..%d\n", plan);
    if (!test.errors)
        folder_remove(pool);
    else
        printf("# see %s\n", test.folder);
    return test.errors != 0;
}

#endif
