/* SPDX-License-Identifier: Apache-2.0 */
/* log.c: lines of the engine, into the error log
 *
 * httpd writes every byte outside ASCII as \xhh, which nobody can read in most
 * of the world's languages. So a line with such bytes is written here, in
 * httpd's default format, when that is the format in use and the log is a file
 * or a pipe; everything else goes through ap_log_rerror(). */
#include "mod_weave.h"

#include <unistd.h>

#include <apr_strings.h>
#include <http_main.h>
#include <util_time.h>

#include "weave_utf8.h"

#define LINE_BYTES 8192 /* as httpd's */

static const char *const level_names[] = {"emerg", "alert",  "crit", "error",
                                          "warn",  "notice", "info", "debug"};

static int is_ascii(const char *text, apr_size_t len)
{
    apr_size_t i;

    for (i = 0; i < len; i++)
        if ((unsigned char)text[i] >= 0x80)
            return 0;
    return 1;
}

/* The file of the log, or NULL where only httpd can write it. */
static apr_file_t *file_of(const server_rec *s)
{
    core_server_config *core = ap_get_core_module_config(s->module_config);

    return core->error_log_format ? NULL : s->error_log;
}

/* The default of ErrorLogFormat, up to the message. */
static apr_size_t put_prefix(char *line, int level, const request_rec *r)
{
    char now[64];
    int len = sizeof(now);

    if (ap_recent_ctime_ex(now, apr_time_now(), AP_CTIME_OPTION_USEC, &len) !=
        APR_SUCCESS)
        now[0] = '\0';
    len = apr_snprintf(line, LINE_BYTES,
                       "[%s] [weave:%s] [pid %" APR_PID_T_FMT ":tid %d] ", now,
                       level_names[level], getpid(), (int)gettid());
    if (r)
        len += apr_snprintf(line + len, LINE_BYTES - len, "[client %s:%d] ",
                            r->useragent_ip, r->useragent_addr->port);
    return (apr_size_t)len;
}

/* UTF-8 as it is; control characters, those of U+0080 to U+009F too, and what
 * is no UTF-8, as httpd writes them: a terminal may read this. */
static apr_size_t put_text(char *line, apr_size_t at, const char *text,
                           apr_size_t len)
{
    const char *end = text + len;

    while (text < end && at < LINE_BYTES - 8) {
        apr_uint32_t code = 0;
        int bytes = weave_utf8_next(text, end, &code);

        if (*text == '\\') {
            at += apr_snprintf(line + at, LINE_BYTES - at, "\\\\");
        }
        else if (!bytes || code < 0x20 || (code >= 0x7f && code < 0xa0)) {
            at += apr_snprintf(line + at, LINE_BYTES - at, "\\x%02x",
                               (unsigned char)*text);
            bytes = 1;
        }
        else {
            memcpy(line + at, text, bytes);
            at += bytes;
        }
        text += bytes;
    }
    return at;
}

static void write_line(apr_file_t *file, int level, const request_rec *r,
                       const char *text, apr_size_t len)
{
    char line[LINE_BYTES];
    apr_size_t at = put_prefix(line, level, r);

    at = put_text(line, at, text, len);
    line[at++] = '\n';
    apr_file_write_full(file, line, at, NULL);
}

void mod_weave_log(void *host, int level, const char *text, size_t len)
{
    mod_weave_exchange_t *exchange = host;
    request_rec *r = exchange ? exchange->r : NULL;
    const server_rec *s = r ? r->server : ap_server_conf;
    apr_file_t *file = is_ascii(text, len) ? NULL : file_of(s);

    if (file) {
        if (r ? APLOG_R_MODULE_IS_LEVEL(r, APLOG_MODULE_INDEX, level)
              : APLOG_MODULE_IS_LEVEL(s, APLOG_MODULE_INDEX, level))
            write_line(file, level, r, text, len);
    }
    else if (r) {
        ap_log_rerror(APLOG_MARK, level, 0, r, "%.*s", (int)len, text);
    }
    else {
        ap_log_error(APLOG_MARK, level, 0, s, "%.*s", (int)len, text);
    }
}
