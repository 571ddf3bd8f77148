/* SPDX-License-Identifier: Apache-2.0 */
/* say.c: everything that weavectl prints
 *
 * No escape sequence reaches the terminal, and no text can look like a line of
 * somebody else. Other files print only their own constants. */
#include "say.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <apr_strings.h>
#include <apr_time.h>

#include "weave_utf8.h"

/* Writes TEXT to OUT (NULL: nowhere). Returns the columns that it takes. */
static int text_write(FILE *out, const char *text)
{
    const char *end = text + strlen(text);
    char shown[4];
    int columns = 0;

    while (text < end) {
        size_t bytes = weave_utf8_escape(shown, &text, end);

        columns += *shown == '\\' ? (int)bytes : 1;
        if (out)
            fwrite(shown, 1, bytes, out);
    }
    return columns;
}

/* Writes BEFORE and AFTER, which are constants, as they are. */
static void line_write(FILE *out, const char *before, const char *after,
                       const char *format, va_list args)
{
    char *text = NULL;

    fputs(before, out);
    if (vasprintf(&text, format, args) >= 0) {
        text_write(out, text);
        free(text);
    }
    fputs(after, out);
}

#define LINE_WRITE(out, before, after)                                         \
    do {                                                                       \
        va_list args;                                                          \
                                                                               \
        va_start(args, format);                                                \
        line_write(out, before, after, format, args);                          \
        va_end(args);                                                          \
    } while (0)

void ctl_put(const char *format, ...)
{
    LINE_WRITE(stdout, "", "");
}

void ctl_line(const char *format, ...)
{
    LINE_WRITE(stdout, "", "\n");
}

void ctl_error(const char *format, ...)
{
    LINE_WRITE(stderr, "", "\n");
}

int ctl_say(const char *format, ...)
{
    LINE_WRITE(stderr, "weavectl: ", "\n");
    return CTL_FAILED;
}

int ctl_refuse(const char *format, ...)
{
    LINE_WRITE(stderr, "weavectl: ", "\n");
    return CTL_USAGE;
}

int ctl_usage(const char *format, ...)
{
    LINE_WRITE(stderr,
               "weavectl: ", "; `weavectl --help` lists what there is\n");
    return CTL_USAGE;
}

void ctl_progress(const char *format, ...)
{
    LINE_WRITE(stderr, "\r\033[K", "");
}

void ctl_option_error(void *unused, const char *format, ...)
{
    char *text = NULL;
    va_list args;

    (void)unused;
    va_start(args, format);
    if (vasprintf(&text, format, args) >= 0) {
        text[strcspn(text, "\n")] = '\0';
        ctl_error("%s", text);
        free(text);
    }
    va_end(args);
}

int ctl_columns(const char *text)
{
    return text_write(NULL, text);
}

void ctl_cell(const char *text, int width)
{
    int columns = text_write(stdout, text);

    printf("%*s", columns < width ? width - columns + 2 : 2, "");
}

/* Escapes DEL and C1, which jansson does not; only strings can have them. */
void ctl_json_print(const json_t *json, size_t flags)
{
    char *text = json_dumps(json, JSON_INDENT(2) | flags);
    const char *at = text, *end = text ? text + strlen(text) : NULL;

    while (at && at < end) {
        apr_uint32_t code = 0;
        int bytes = weave_utf8_next(at, end, &code);

        if (code >= 0x7f && code < 0xa0)
            printf("\\u%04X", (unsigned)code);
        else
            fwrite(at, 1, (size_t)bytes, stdout);
        at += bytes ? bytes : 1;
    }
    fputs("\n", stdout);
    free(text);
}

const char *ctl_duration(int64_t seconds, apr_pool_t *pool)
{
    if (seconds < 120)
        return apr_psprintf(pool, "%ld s", (long)seconds);
    if (seconds < 7200)
        return apr_psprintf(pool, "%ld min", (long)(seconds / 60));
    if (seconds < 172800)
        return apr_psprintf(pool, "%ld h", (long)(seconds / 3600));
    return apr_psprintf(pool, "%ld d", (long)(seconds / 86400));
}

const char *ctl_clock(int64_t time_us, apr_pool_t *pool)
{
    apr_time_exp_t at, now;
    char text[64] = "";
    apr_size_t bytes;
    int today;

    apr_time_exp_lt(&at, time_us);
    apr_time_exp_lt(&now, apr_time_now());
    today = at.tm_year == now.tm_year && at.tm_yday == now.tm_yday;
    apr_strftime(text, &bytes, sizeof(text),
                 today ? "%H:%M:%S" : "%Y-%m-%d %H:%M:%S", &at);
    return apr_pstrdup(pool, text);
}
