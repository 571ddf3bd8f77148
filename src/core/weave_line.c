/* SPDX-License-Identifier: Apache-2.0 */
/* weave_line.c: lines as httpd's ErrorLogFormat has them by default */
#include "weave_line.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "weave_utf8.h"

static const char *const level_names[] = {
    "emerg",  "alert",  "crit",   "error",  "warn",   "notice",
    "info",   "debug",  "trace1", "trace2", "trace3", "trace4",
    "trace5", "trace6", "trace7", "trace8"};
#define LEVEL_MAX 15

static const char *level_name(int level)
{
    return level_names[level < 0 ? 0 : level > LEVEL_MAX ? LEVEL_MAX : level];
}

static size_t put_prefix(char *line, int level, const char *client)
{
    static const char days[] = "SunMonTueWedThuFriSat";
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    struct timespec now;
    struct tm tm;
    int len;

    clock_gettime(CLOCK_REALTIME, &now);
    localtime_r(&now.tv_sec, &tm);
    len = snprintf(line, WEAVE_LINE_BYTES,
                   "[%.3s %.3s %02d %02d:%02d:%02d.%06ld %d] [weave:%s]"
                   " [pid %d:tid %d] ",
                   days + 3 * tm.tm_wday, months + 3 * tm.tm_mon, tm.tm_mday,
                   tm.tm_hour, tm.tm_min, tm.tm_sec, now.tv_nsec / 1000,
                   tm.tm_year + 1900, level_name(level), (int)getpid(),
                   (int)gettid());
    if (client)
        len += snprintf(line + len, WEAVE_LINE_BYTES - (size_t)len,
                        "[client %.80s] ", client);
    return (size_t)len;
}

static size_t put_text(char *line, size_t at, const char *text, size_t len)
{
    const char *end = text + len;

    while (text < end && at < WEAVE_LINE_BYTES - 8) {
        if (*text == '\\') /* what is escaped can be told from what is not */
            line[at++] = '\\';
        at += weave_utf8_escape(line + at, &text, end);
    }
    return at;
}

size_t weave_line_format(char *line, int level, const char *client,
                         const char *text, size_t len)
{
    size_t at = put_prefix(line, level, client);

    at = put_text(line, at, text, len);
    line[at++] = '\n';
    return at;
}

void weave_line_write(int fd, int level, const char *text, size_t len)
{
    char line[WEAVE_LINE_BYTES];
    size_t left = weave_line_format(line, level, NULL, text, len);
    const char *at = line;

    while (left) {
        ssize_t put = write(fd, at, left);

        if (put < 0 && errno != EINTR)
            return;
        if (put > 0) {
            at += put;
            left -= (size_t)put;
        }
    }
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
    weave_line_write(2, level, text,
                     (size_t)len < sizeof(text) ? (size_t)len
                                                : sizeof(text) - 1);
}
