/* SPDX-License-Identifier: Apache-2.0 */
/* weave_line.c: writes lines in the default format of httpd's ErrorLogFormat */
#include "weave_line.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "weave_file.h"
#include "weave_utf8.h"

static const char *const level_names[] = {
    "emerg",  "alert",  "crit",   "error",  "warn",   "notice",
    "info",   "debug",  "trace1", "trace2", "trace3", "trace4",
    "trace5", "trace6", "trace7", "trace8"};
#define LEVEL_MAX 15

static struct {
    int fd;
    long pid; /* 0: that of the calling process */
} output = {.fd = 2};

void weave_line_output_set(int fd, long pid)
{
    output.fd = fd;
    output.pid = pid;
}

size_t weave_line_begin(char *line, int level, long pid)
{
    static const char days[] = "SunMonTueWedThuFriSat";
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    long thread = pid ? pid : gettid();
    struct timespec now;
    struct tm tm;

    level = level < 0 ? 0 : level > LEVEL_MAX ? LEVEL_MAX : level;
    if (!pid)
        pid = output.pid ? output.pid : getpid();
    clock_gettime(CLOCK_REALTIME, &now);
    localtime_r(&now.tv_sec, &tm);
    return (size_t)snprintf(
        line, WEAVE_LINE_BYTES,
        "[%.3s %.3s %02d %02d:%02d:%02d.%06ld %d] [weave:%s]"
        " [pid %ld:tid %ld] ",
        days + 3 * tm.tm_wday, months + 3 * tm.tm_mon, tm.tm_mday, tm.tm_hour,
        tm.tm_min, tm.tm_sec, now.tv_nsec / 1000, tm.tm_year + 1900,
        level_names[level], pid, thread);
}

size_t weave_line_append(char *line, size_t at, size_t room, const char **text,
                         const char *end, int whole)
{
    while (*text < end && at < room - 8) {
        /* so that a backslash differs from an escaped byte */
        if (**text == '\\' && whole)
            line[at++] = '\\';
        at += weave_utf8_escape(line + at, text, end);
    }
    return at;
}

size_t weave_line_format(char *line, int level, const char *client,
                         const char *text, size_t len)
{
    size_t at = weave_line_begin(line, level, 0);

    if (client)
        at += (size_t)snprintf(line + at, WEAVE_LINE_BYTES - at,
                               "[client %.80s] ", client);
    at = weave_line_append(line, at, WEAVE_LINE_BYTES, &text, text + len, 1);
    line[at++] = '\n';
    return at;
}

/* Returns the end of the text at AT that has SHAPE, or NULL. In the shape a
 * letter stands for any letter, 9 for a digit. */
static const char *shape_skip(const char *at, const char *end,
                              const char *shape)
{
    for (; *shape; shape++, at++) {
        if (at == end)
            return NULL;
        if (*shape == '9' ? *at < '0' || *at > '9'
            : *shape == 'A' || *shape == 'a'
                ? (*at | 0x20) < 'a' || (*at | 0x20) > 'z'
                : *at != *shape)
            return NULL;
    }
    return at;
}

/* Returns the end of TEXT at AT, which may be NULL, or NULL. */
static const char *text_skip(const char *at, const char *end, const char *text)
{
    size_t len = strlen(text);

    return at && (size_t)(end - at) >= len && !memcmp(at, text, len) ? at + len
                                                                     : NULL;
}

static const char *level_skip(const char *at, const char *end)
{
    int i;

    for (i = 0; at && i <= LEVEL_MAX; i++) {
        const char *behind =
            text_skip(text_skip(at, end, level_names[i]), end, "] [pid ");

        if (behind)
            return behind;
    }
    return NULL;
}

static const char *digits_skip(const char *at, const char *end)
{
    const char *from = at;

    while (at && at < end && at - from < 10 && *at >= '0' && *at <= '9')
        at++;
    return at > from ? at : NULL;
}

size_t weave_line_prefix_bytes(const char *text, size_t len, long pid)
{
    const char *end = text + len, *at;
    char its[32];

    snprintf(its, sizeof(its), "%ld:tid ", pid);
    at = shape_skip(text, end, "[Aaa Aaa 99 99:99:99.999999 9999] ");
    at = level_skip(text_skip(at, end, "[weave:"), end);
    at = text_skip(at, end, its);
    at = text_skip(digits_skip(at, end), end, "] ");
    return at ? (size_t)(at - text) : 0;
}

void weave_line_write(int fd, int level, const char *client, const char *text,
                      size_t len)
{
    char line[WEAVE_LINE_BYTES];

    (void)weave_file_write(fd, line,
                           weave_line_format(line, level, client, text, len));
}

void weave_line_say(int level, const char *format, ...)
{
    char text[WEAVE_LINE_BYTES];
    va_list args;
    int len;

    va_start(args, format);
    len = vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    if (len < 0)
        return;
    weave_line_write(output.fd, level, NULL, text,
                     (size_t)len < sizeof(text) ? (size_t)len
                                                : sizeof(text) - 1);
}
