/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEAVE_CONTROL_H
#define WEAVE_CONTROL_H

/**
 * Control channels: one JSON object a line over a UNIX stream socket, with
 * descriptors beside it where the line needs them. Between httpd and weaved,
 * weavectl and weaved, weaved and each worker.
 *
 * Requests to weaved (from its httpd over a socket pair, from weavectl over
 * RUNTIME/weaved.sock; only root and weaved's own user may ask) and what they
 * answer. Every request carries "version":
 * WEAVE_CONTROL_VERSION; another one is answered with an error that says so.
 *
 *   {"op":"want"} + descriptor       all applications that httpd wants; what is
 *                                    not among them is drained. The descriptor
 *                                    is a file without a name that holds
 *                                    {"apps":[SPEC...],
 *                                     "secrets":[{"app":N,"secret":HEX}...],
 *                                     "cores":true|false}.
 *                                    The secrets (weave_secret.h) by place in
 *                                    the roster, also of those whose workers
 *                                    may still drain; whether workers may dump
 *                                    core. {"ok":true}
 *                                    Only from httpd's own channel, as log
 *                                    and stop
 *   {"op":"log"} + descriptor        the error log from now on. {"ok":true}
 *   {"op":"reload","app":INI|null}   a new generation. {"ok":true}; what
 *                                    becomes of it, status tells
 *   {"op":"candidate","app":INI,"link":PATH,"leads_to":PATH}
 *                                    a generation as if the link led there,
 *                                    which is held until "switch" and ends with
 *                                    this connection. The answer comes when all
 *                                    its workers are ready and warm, or it has
 *                                    failed: {"ok":true,"generation":N,
 *                                    "proven":true,"ms":N,"warmup_status":N,
 *                                    "warmup_ms":N}; "proven":false: httpd
 * wants it meanwhile, and status tells the rest
 *   {"op":"switch","app":INI}        the candidate serves from now on, where
 * the links lead to what it is made of.
 *                                    {"ok":true,"generation":N,"finishing":N}:
 *                                    how many requests the one before has
 *   {"op":"status"}                  {"ok":true,"status":{...}}
 *   {"op":"ping"}                    {"ok":true}
 *   {"op":"stop"}                    {"ok":true}; weaved ends when all workers
 *                                    have
 *   anything else, or a mistake      {"ok":false,"error":TEXT}
 *
 * An answer has the "number" of its request, where that has one.
 *
 * weaved to a worker, on the worker's descriptor WEAVE_WORKER_CONTROL_FD or on
 * a connection that said WEAVE_ROLE_SUPERVISOR:
 *
 *   {"op":"start","secret":HEX,"cores":true|false,"spec":SPEC,
 *    "generation":N}                 first, and only once
 *   {"op":"drain"}                   take nothing new, finish, exit 0
 *   {"op":"quit"}                    atexit functions with a deadline, exit 0
 *   {"op":"stacks"}                  all thread stacks into the log
 *
 * and back: the reports of weave_report.h.
 */

#include <stddef.h>

#include <apr_errno.h>
#include <apr_pools.h>
#include <jansson.h>

#include "weave_fd.h"

#define WEAVE_CONTROL_VERSION 6
#define WEAVE_CONTROL_SOCKET "weaved.sock"
#define WEAVE_CONTROL_LOCK "weaved.lock"

/** No line of httpd's or weaved's is longer: a spec holds the text of a
 *  sync.ini (1 MiB at most). */
#define WEAVE_CONTROL_LINE_MAX (16u << 20)
/** No request is longer. */
#define WEAVE_CONTROL_ASK_MAX 65536u

/** The descriptors that weave-worker is started with, beside 0, 1 and 2. Its
 *  standard output and error are a pipe that weaved reads. LOG is the other end
 *  of that: the worker never reads it, but while it is open the pipe lives on
 *  when weaved dies, and the next weaved gets it. SAY is the writing end
 *  without waiting, for the thread that must not wait. */
enum {
    WEAVE_WORKER_LISTEN_FD = 3,
    WEAVE_WORKER_CONTROL_FD,
    WEAVE_WORKER_LIFELINE_FD,
    WEAVE_WORKER_BOARD_FD,
    WEAVE_WORKER_LOG_FD,
    WEAVE_WORKER_SAY_FD,
    WEAVE_WORKER_FDS
};

/**
 * httpd tries at configtest whether an engine can be loaded, and what the
 * application's own check finds in the sync.ini:
 *
 *   weave-worker --probe ENGINE VERSION LIBPYTHON SONAME CHECK PYTHON [FILE
 * ...]
 *
 * with the rights of the user that the application runs as, /dev/null as 0, 1
 * and 2, and a pipe as descriptor WEAVE_PROBE_ANSWER_FD. It loads LIBPYTHON or
 * SONAME ("": none) and ENGINE, which must be for Python VERSION ("": any), and
 * looks whether PYTHON and each FILE ("": none) can be read. It writes
 * WEAVE_PROBE_GOOD, or what is wrong as text for the administrator. Where that
 * is good and CHECK is not "", PYTHON runs the entry point CHECK of the group
 * mod_weave.check, for which the flat text of the sync.ini is descriptor
 * WEAVE_PROBE_INI_FD. It adds a '\n', and for all that is found a line: "error"
 * or "notice", the number of a line of that text (0: none), and a message;
 * "failed 0" and a message where the check itself is broken.
 * The code that runs may be anybody's, so nothing is sure about what is
 * written.
 */
#define WEAVE_PROBE_OPTION "--probe"
#define WEAVE_PROBE_GOOD "good"
enum { WEAVE_PROBE_ANSWER_FD = 3, WEAVE_PROBE_INI_FD, WEAVE_PROBE_FDS };

/** Those that weaved is started with, beside 0, 1 and 2. READY gets a line
 *  for the operator, or none and its end when weaved takes requests. CONTROL is
 *  httpd's own channel (as over the socket): it works without the folder. */
enum {
    WEAVE_SUPER_LIFELINE_FD = 3,
    WEAVE_SUPER_ROSTER_FD,
    WEAVE_SUPER_READY_FD,
    WEAVE_SUPER_CONTROL_FD,
    WEAVE_SUPER_FDS
};

/** The descriptors that the other end may pass. To close a file may mean to
 *  wait for whom it is of (FUSE): who is less trusted passes PLAIN ones, none
 *  of which is a file, or NONE, and then the kernel drops what comes (see
 *  weave_fd_pass_set, too). */
typedef enum weave_pass_e {
    WEAVE_PASS_ANY,
    WEAVE_PASS_PLAIN, /* otherwise it is APR_EINVAL, and that one stays open */
    WEAVE_PASS_NONE
} weave_pass_e;

/** A channel: what has arrived of the next line. Zero it, set `fd`. It takes no
 *  more memory than the longest line that it may have. */
typedef struct weave_control_t {
    int fd;
    size_t line_max; /* 0: WEAVE_CONTROL_LINE_MAX */
    weave_pass_e passes;
    char *data; /* malloc */
    size_t len, room;
    /* descriptors that came, plus 1; 0: none. With the line of the byte before
     * `end`: that of this line, perhaps, and that of a later one. */
    struct {
        int fd;
        size_t end;
    } passed[2];
} weave_control_t;

/** A string of TEXT, for a message: where it is no UTF-8, as paths need not be,
 *  what makes it that is shown as \\xHH. TEXT NULL: null. The caller's. */
json_t *weave_control_text(const char *text, apr_pool_t *pool);

/** Sends MESSAGE as one line, with PASS beside it (-1: none), waiting for room
 *  TIMEOUT_MS at most (0: not at all). */
apr_status_t weave_control_send(int fd, const json_t *message, int pass,
                                int timeout_ms);

/** The next message, or APR_EAGAIN when TIMEOUT_MS passed without a whole one
 *  (0: only what is here), APR_EOF, or APR_EINVAL for what is no JSON object or
 *  too long. The caller owns *message, and *pass (-1: none came with it). */
apr_status_t weave_control_receive(weave_control_t *control, json_t **message,
                                   int *pass, int timeout_ms);

/** 1: a whole line has arrived that was not received yet. */
int weave_control_has_line(const weave_control_t *control);

/** Closes the socket and frees what is left. */
void weave_control_close(weave_control_t *control);

/** One request to weaved and its answer: APR_SUCCESS and *answer (the caller's)
 *  only for {"ok":true}. Otherwise *problem, malloc'ed, says what happened, for
 *  people. REQUEST gets its "version" here. It connects to PATH, where the
 *  owner of the folder must listen. */
apr_status_t weave_control_ask(json_t **answer, char **problem,
                               const char *path, json_t *request, int pass,
                               int timeout_ms);

#endif
