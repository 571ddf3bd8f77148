/* SPDX-License-Identifier: Apache-2.0 */
/* weave_control.c: JSON lines and descriptors over UNIX sockets */
#include "weave_control.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <apr_strings.h>

#include "weave_clock.h"
#include "weave_fd.h"
#include "weave_utf8.h"

/* a larger buffer is not kept when it is empty */
#define KEPT_BYTES 65536

json_t *weave_control_text(const char *text, apr_pool_t *pool)
{
    json_t *made = text ? json_string(text) : json_null();

    return made ? made : json_string(weave_utf8_escape_text(text, pool));
}

/* ---- connections ---- */

/* weaved takes no folder that is another user's, so whoever the folder of PATH
 * belongs to has started it: nobody else may listen there. */
static apr_status_t control_connect(int *fd, const char *path)
{
    char folder[PATH_MAX];
    struct stat status;

    if (strlen(path) >= sizeof(folder))
        return APR_ENAMETOOLONG;
    apr_cpystrn(folder, path, sizeof(folder));
    if (stat(dirname(folder), &status) < 0)
        return errno;
    return weave_socket_connect(fd, path, status.st_uid, 0);
}

/* 1: ready, 0: the time is over, -1: errno. */
static int wait_for(int fd, short events, int64_t until)
{
    struct pollfd wait = {fd, events, 0};
    int rc = poll(&wait, 1, weave_clock_left_ms(until));

    return rc < 0 && errno == EINTR ? 1 : rc;
}

static apr_status_t send_all(int fd, const char *data, size_t bytes, int pass,
                             int timeout_ms)
{
    int64_t until = weave_clock_us() + timeout_ms * INT64_C(1000);

    while (bytes) {
        long sent = weave_fd_send(fd, data, bytes, pass, MSG_DONTWAIT);
        int rc;

        if (sent > 0) {
            data += sent;
            bytes -= (size_t)sent;
            pass = -1;
            continue;
        }
        if (errno != EAGAIN && errno != EINTR)
            return errno;
        rc = wait_for(fd, POLLOUT, until);
        if (rc <= 0)
            return rc < 0 ? errno : APR_EAGAIN;
    }
    return APR_SUCCESS;
}

apr_status_t weave_control_send(int fd, const json_t *message, int pass,
                                int timeout_ms)
{
    char *text = json_dumps(message, JSON_COMPACT);
    size_t len = text ? strlen(text) : 0;
    char *line = text ? realloc(text, len + 1) : NULL;
    apr_status_t rv;

    if (!line) {
        free(text);
        return APR_ENOMEM;
    }
    line[len] = '\n'; /* instead of its NUL */
    rv = send_all(fd, line, len + 1, pass, timeout_ms);
    free(line);
    return rv;
}

/* ---- lines ---- */

/* A read ends behind the bytes that a descriptor came with (unix(7)), but may
 * begin before them: it belongs to the line of the last byte. */
static void passed_keep(weave_control_t *control, int fd)
{
    int i = control->passed[0].fd ? 1 : 0;

    if (control->passed[i].fd) {
        close(fd);
        return;
    }
    control->passed[i].fd = fd + 1;
    control->passed[i].end = control->len;
}

/* The descriptor of the line whose BYTES are taken, or -1. */
static int passed_take(weave_control_t *control, size_t bytes)
{
    int fd = -1, i;

    while (control->passed[0].fd && control->passed[0].end <= bytes) {
        if (fd >= 0) /* one for a line */
            close(control->passed[0].fd - 1);
        else
            fd = control->passed[0].fd - 1;
        control->passed[0] = control->passed[1];
        control->passed[1].fd = 0;
    }
    for (i = 0; i < 2; i++)
        if (control->passed[i].fd)
            control->passed[i].end -= bytes;
    return fd;
}

static size_t line_max(const weave_control_t *control)
{
    return control->line_max ? control->line_max : WEAVE_CONTROL_LINE_MAX;
}

int weave_control_has_line(const weave_control_t *control)
{
    return control->len && memchr(control->data, '\n', control->len);
}

static void line_drop(weave_control_t *control, size_t bytes)
{
    control->len -= bytes;
    memmove(control->data, control->data + bytes, control->len);
    if (control->len || control->room <= KEPT_BYTES)
        return;
    free(control->data);
    control->data = NULL;
    control->room = 0;
}

static apr_status_t line_take(weave_control_t *control, json_t **message,
                              int *pass)
{
    char *newline =
        control->len ? memchr(control->data, '\n', control->len) : NULL;
    size_t len;
    int passed;

    if (!newline)
        return control->len < line_max(control) ? APR_EAGAIN : APR_EINVAL;
    len = (size_t)(newline - control->data);
    passed = passed_take(control, len + 1);
    *message = json_loadb(control->data, len, JSON_REJECT_DUPLICATES, NULL);
    line_drop(control, len + 1);
    if (!json_is_object(*message)) {
        json_decref(*message);
        *message = NULL;
        if (passed >= 0)
            close(passed);
        return APR_EINVAL;
    }
    *pass = passed;
    return APR_SUCCESS;
}

static long some_receive(const weave_control_t *control, int *pass)
{
    char *to = control->data + control->len;
    size_t room = control->room - control->len;

    if (control->passes == WEAVE_PASS_NONE)
        return recv(control->fd, to, room, MSG_DONTWAIT);
    return weave_fd_receive(control->fd, to, room, pass, MSG_DONTWAIT,
                            control->passes == WEAVE_PASS_PLAIN);
}

/* Reads once. There is no whole line yet, and less than the longest one. */
static apr_status_t some_read(weave_control_t *control)
{
    long got;
    int pass = -1;

    if (control->room - control->len < 4096 &&
        control->room < line_max(control)) {
        size_t room = control->room * 2 + 8192;
        char *grown;

        room = room < line_max(control) ? room : line_max(control);
        grown = realloc(control->data, room);
        if (!grown)
            return APR_ENOMEM;
        control->data = grown;
        control->room = room;
    }
    got = some_receive(control, &pass);
    if (got < 0)
        return errno == EINTR ? APR_SUCCESS : errno;
    control->len += (size_t)got;
    if (control->passes == WEAVE_PASS_PLAIN &&
        (pass == WEAVE_FD_MANY || (pass >= 0 && !weave_fd_is_plain(pass))))
        return APR_EINVAL;
    if (pass >= 0)
        passed_keep(control, pass);
    return got ? APR_SUCCESS : APR_EOF;
}

apr_status_t weave_control_receive(weave_control_t *control, json_t **message,
                                   int *pass, int timeout_ms)
{
    int64_t until = weave_clock_us() + timeout_ms * INT64_C(1000);

    for (;;) {
        apr_status_t rv = line_take(control, message, pass);
        int rc;

        if (rv != APR_EAGAIN)
            return rv;
        rv = some_read(control);
        if (rv == APR_SUCCESS)
            continue;
        if (!APR_STATUS_IS_EAGAIN(rv))
            return APR_STATUS_IS_ECONNRESET(rv) ? APR_EOF : rv;
        rc = wait_for(control->fd, POLLIN, until);
        if (rc <= 0)
            return rc < 0 ? errno : APR_EAGAIN;
    }
}

void weave_control_close(weave_control_t *control)
{
    int i;

    if (control->fd >= 0)
        close(control->fd);
    for (i = 0; i < 2; i++)
        if (control->passed[i].fd)
            close(control->passed[i].fd - 1);
    free(control->data);
    *control = (weave_control_t){.fd = -1};
}

/* ---- asking weaved ---- */

/* Why nobody at PATH could be asked. */
static char *explain_connect(const char *path, apr_status_t rv)
{
    char why[120], text[512];

    if (APR_STATUS_IS_ENOENT(rv) || APR_STATUS_IS_ECONNREFUSED(rv))
        snprintf(text, sizeof(text),
                 "no weaved listens at %s. Either httpd does not run, or no"
                 " WeaveApp in it has worker processes, or it has another"
                 " WeaveRuntimeDir (-d names it), or somebody has removed what"
                 " was there: then `apachectl graceful` makes it again",
                 path);
    else if (APR_STATUS_IS_EACCES(rv))
        snprintf(text, sizeof(text),
                 "%s: only root and the user httpd was started by may ask"
                 " weaved",
                 path);
    else if (rv == EPERM)
        snprintf(text, sizeof(text),
                 "the process that listens at %s is no weaved: it is not of"
                 " the user that its folder belongs to",
                 path);
    else
        snprintf(text, sizeof(text), "%s: %s", path,
                 apr_strerror(rv, why, sizeof(why)));
    return strdup(text);
}

/* Why the weaved at PATH has not answered. */
static char *explain_silence(const char *path, apr_status_t rv)
{
    char why[120], text[512];
    const char *what = " does not answer";

    if (rv == APR_EOF || APR_STATUS_IS_EPIPE(rv) ||
        APR_STATUS_IS_ECONNRESET(rv))
        what = " closed the connection";
    else if (APR_STATUS_IS_EINVAL(rv))
        what = " answers what is no JSON";
    else if (!APR_STATUS_IS_EAGAIN(rv))
        what = ": ";
    snprintf(text, sizeof(text), "the weaved at %s%s%s", path, what,
             *what == ':' ? apr_strerror(rv, why, sizeof(why)) : "");
    return strdup(text);
}

static apr_status_t answer_await(json_t **answer, weave_control_t *control,
                                 json_t *request, int pass, int timeout_ms)
{
    int passed = -1;
    apr_status_t rv;

    json_object_set_new(request, "version",
                        json_integer(WEAVE_CONTROL_VERSION));
    rv = weave_control_send(control->fd, request, pass, timeout_ms);
    if (rv == APR_SUCCESS)
        rv = weave_control_receive(control, answer, &passed, timeout_ms);
    if (passed >= 0)
        close(passed);
    return rv;
}

/* Why an ANSWER is a refusal, or NULL. */
static char *explain_refusal(const json_t *answer)
{
    const char *error = json_string_value(json_object_get(answer, "error"));

    if (json_is_true(json_object_get(answer, "ok")))
        return NULL;
    return strdup(error ? error : "weaved gave no reason");
}

apr_status_t weave_control_ask(json_t **answer, char **problem,
                               const char *path, json_t *request, int pass,
                               int timeout_ms)
{
    weave_control_t control = {.fd = -1};
    json_t *got = NULL;
    apr_status_t rv = control_connect(&control.fd, path);

    if (rv != APR_SUCCESS) {
        *problem = explain_connect(path, rv);
        return rv;
    }
    rv = answer_await(&got, &control, request, pass, timeout_ms);
    weave_control_close(&control);
    *problem =
        rv == APR_SUCCESS ? explain_refusal(got) : explain_silence(path, rv);
    if (rv == APR_SUCCESS && !*problem) {
        *answer = got;
        return APR_SUCCESS;
    }
    json_decref(got);
    return rv == APR_SUCCESS ? APR_EGENERAL : rv;
}
