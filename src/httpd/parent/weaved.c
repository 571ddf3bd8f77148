/* SPDX-License-Identifier: Apache-2.0 */
/* weaved.c: requests of httpd's parent to weaved, and its answers
 *
 * Each request has a number, which comes back with its answer. */
#include "parent.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <apr_strings.h>

#include "weave_file.h"

int mod_weave_weaved_open(mod_weave_retained_t *data,
                          const mod_weave_launched_t *launched)
{
    mod_weave_weaved_close(data);
    data->ready = launched->ready;
    data->control = calloc(1, sizeof(*data->control));
    if (data->control)
        data->control->fd = launched->control;
    else
        close(launched->control);
    return data->control ? 0 : -1;
}

void mod_weave_weaved_close(mod_weave_retained_t *data)
{
    if (data->control)
        weave_control_close(data->control);
    free(data->control);
    data->control = NULL;
    if (data->ready >= 0)
        close(data->ready);
    data->ready = -1;
    data->asked = data->answered = 0;
    data->asked_us = 0;
    data->unsent = 0;
}

const char *mod_weave_weaved_ask(mod_weave_retained_t *data, const char *op,
                                 int pass, apr_pool_t *pool)
{
    const char *line =
        apr_psprintf(pool, "{\"op\":\"%s\",\"version\":%d,\"number\":%u}\n", op,
                     WEAVE_CONTROL_VERSION, data->asked + 1);
    long len = (long)strlen(line), sent = -1;

    if (!data->control)
        return "httpd has no connection to its weaved";
    sent =
        weave_fd_send(data->control->fd, line, (size_t)len, pass, MSG_DONTWAIT);
    if (!data->asked_us)
        data->asked_us = weave_clock_us();
    data->asked += sent == len;
    data->unsent |= sent != len;
    /* the death of one that is just dying is met by who watches it, and one
     * that lives on and has closed this is silent */
    return sent < 0 && errno != EAGAIN && errno != EINTR && errno != EPIPE &&
                   errno != ECONNRESET
               ? apr_psprintf(pool, "httpd's own weaved cannot be asked: %s",
                              strerror(errno))
               : NULL;
}

static int file_say(int fd, const char *text)
{
    return weave_file_write(fd, text, strlen(text));
}

static int specs_add(int fd, const mod_weave_retained_t *data)
{
    int i, some = 0;

    for (i = 0; i < WEAVE_ROSTER_APPS; i++) {
        const mod_weave_hidden_t *spec = &data->apps[i].spec;

        if (!data->apps[i].wanted || !spec->text)
            continue;
        if ((some++ && file_say(fd, ",") < 0) ||
            weave_file_write(fd, spec->text, spec->len) < 0)
            return -1;
    }
    return 0;
}

/* Also of those that are not wanted any more: a new weaved takes over their
 * workers, which may have requests. Children have them anyway. */
static int secrets_add(int fd, const mod_weave_retained_t *data)
{
    char text[WEAVE_SECRET_TEXT], row[WEAVE_SECRET_TEXT + 64];
    int i, some = 0;

    for (i = 0; i < WEAVE_ROSTER_APPS; i++) {
        if (!data->apps[i].ini)
            continue;
        weave_secret_format(text, &data->apps[i].secret);
        apr_snprintf(row, sizeof(row), "%s{\"app\":%d,\"secret\":\"%s\"}",
                     some++ ? "," : "", i, text);
        if (file_say(fd, row) < 0)
            return -1;
    }
    return 0;
}

/* The specs are JSON that is hidden from children, so they go from where they
 * are into the file, without another copy. */
static int wanted_file(const mod_weave_retained_t *data)
{
    int fd = mod_weave_hidden_file("weave-want");

    if (fd >= 0 &&
        (file_say(fd, "{\"apps\":[") < 0 || specs_add(fd, data) < 0 ||
         file_say(fd, "],\"secrets\":[") < 0 || secrets_add(fd, data) < 0 ||
         file_say(fd, ap_coredumpdir_configured ? "],\"cores\":true}"
                                                : "],\"cores\":false}") < 0 ||
         mod_weave_hidden_seal(fd) < 0)) {
        close(fd);
        fd = -1;
    }
    return fd;
}

const char *mod_weave_weaved_want(mod_weave_retained_t *data, apr_pool_t *pool)
{
    int fd = wanted_file(data);
    const char *problem;

    if (fd < 0)
        return apr_psprintf(pool, "weaved cannot be told what is to run: %s",
                            strerror(errno));
    problem = mod_weave_weaved_ask(data, "want", fd, pool);
    close(fd);
    return problem;
}

static const char *answer_take(mod_weave_retained_t *data, json_t *answer,
                               apr_pool_t *pool)
{
    const json_t *number = json_object_get(answer, "number");
    const char *error = json_string_value(json_object_get(answer, "error"));

    data->answered = json_is_integer(number)
                         ? (apr_uint32_t)json_integer_value(number)
                         : data->answered + 1;
    data->asked_us =
        data->answered == data->asked && !data->unsent ? 0 : weave_clock_us();
    if (json_is_true(json_object_get(answer, "ok")))
        return NULL;
    return apr_pstrdup(pool, error ? error : "weaved gave no reason");
}

const char *mod_weave_weaved_hear(mod_weave_retained_t *data, int timeout_ms,
                                  apr_pool_t *pool)
{
    int64_t until = weave_clock_us() + timeout_ms * INT64_C(1000);
    const char *problem = NULL;

    while (data->control && data->answered != data->asked && !problem) {
        json_t *answer = NULL;
        int pass = -1;
        apr_status_t rv = weave_control_receive(data->control, &answer, &pass,
                                                weave_clock_left_ms(until));

        if (pass >= 0)
            close(pass);
        if (APR_STATUS_IS_EAGAIN(rv))
            break;
        if (rv != APR_SUCCESS)
            return APR_STATUS_IS_EINVAL(rv)
                       ? "httpd's own weaved answers what is no JSON"
                       : "httpd's own weaved closed the connection";
        problem = answer_take(data, answer, pool);
        json_decref(answer);
    }
    return problem;
}

int64_t mod_weave_weaved_silence(const mod_weave_retained_t *data)
{
    return data->asked_us ? weave_clock_us() - data->asked_us : 0;
}
