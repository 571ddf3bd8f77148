/* SPDX-License-Identifier: Apache-2.0 */
/* log.c: lines of the engine, into the error log
 *
 * httpd writes every byte outside ASCII as \xhh, which nobody can read in most
 * of the world's languages. So a line with such bytes is written here, in
 * httpd's default format, when that is the format in use and the log is a file
 * or a pipe; everything else goes through ap_log_rerror(). */
#include "exchange.h"

#include <stdatomic.h>

#include <apr_strings.h>
#include <http_main.h>

#include "weave_line.h"

#define EVERY_US INT64_C(60000000)

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

static void write_line(apr_file_t *file, int level, const request_rec *r,
                       const char *text, apr_size_t len)
{
    char line[WEAVE_LINE_BYTES], client[64];
    apr_size_t at;

    if (r)
        apr_snprintf(client, sizeof(client), "%s:%d", r->useragent_ip,
                     r->useragent_addr->port);
    at = weave_line_format(line, level, r ? client : NULL, text, len);
    apr_file_write_full(file, line, at, NULL);
}

int mod_weave_log_is_due(_Atomic int64_t *next_us)
{
    int64_t now = weave_clock_us(), next = atomic_load(next_us);

    return now >= next &&
           atomic_compare_exchange_strong(next_us, &next, now + EVERY_US);
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
