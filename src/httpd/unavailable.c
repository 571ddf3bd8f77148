/* SPDX-License-Identifier: Apache-2.0 */
/* unavailable.c: the 503 that Sync clients obey
 *
 * Headers and bodies are those that clients of Sync 1.0 to 1.5 read: decimal
 * seconds, the same number in every header, a body each API can parse. */
#include "mod_weave.h"

#include <apr_strings.h>

static const char storage_body[] = "\"server issue: maintenance\"";
static const char token_body[] =
    "{\"status\":\"error\",\"errors\":[{\"location\":\"internal\",\"name\":"
    "\"\",\"description\":\"maintenance\"}]}";
static const char page[] =
    "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
    "<title>Back soon</title></head><body><h1>Back soon</h1>"
    "<p>This service pauses for a moment. Please try again later.</p>"
    "</body></html>\n";
static const char plain_body[] = "This service pauses for a moment.\n";

typedef struct {
    const char *type, *body;
} kind_t;

static int starts(const char *path, const char *prefix)
{
    return strncmp(path, prefix, strlen(prefix)) == 0;
}

static int ends(const char *path, const char *suffix)
{
    apr_size_t len = strlen(path), want = strlen(suffix);

    return len >= want && !strcmp(path + len - want, suffix);
}

/* By path, never by User-Agent. */
static kind_t kind_of(request_rec *r, const char *path,
                      const weave_conf_t *conf)
{
    const char *accept = apr_table_get(r->headers_in, "Accept");
    int html = accept && ap_strstr_c(accept, "text/html");
    int sync =
        weave_conf_int(conf, WEAVE_MAINTENANCE_STYLE) == WEAVE_STYLE_SYNC;

    if (sync && ends(path, "/1.0/sync/1.5"))
        return (kind_t){"application/json", token_body};
    if (sync && starts(path, "/1.5/"))
        return (kind_t){"application/json", "0"};
    if (sync && (starts(path, "/1.0/") || starts(path, "/1.1/") ||
                 starts(path, "/user/") || starts(path, "/misc/")))
        return (kind_t){"application/json", storage_body};
    if (html)
        return (kind_t){"text/html; charset=utf-8", page};
    if (sync)
        return (kind_t){"application/json", storage_body};
    return (kind_t){"text/plain; charset=utf-8", plain_body};
}

/* Everybody told the same number comes back in the same second: 0 to
 * maintenance.spread (at least 5 s) is added, once per answer. */
static apr_int64_t spread(apr_int64_t seconds, const weave_conf_t *conf)
{
    apr_int64_t percent = weave_conf_int(conf, WEAVE_MAINTENANCE_SPREAD);
    apr_int64_t most = seconds * percent / 100;

    if (percent <= 0)
        return seconds;
    return seconds + ap_random_pick(0, (apr_uint32_t)(most > 5 ? most : 5));
}

static void add_headers(request_rec *r, const weave_conf_t *conf,
                        apr_int64_t seconds)
{
    const char *n = apr_psprintf(r->pool, "%" APR_INT64_T_FMT, seconds);
    apr_time_t now = apr_time_now();

    apr_table_setn(r->err_headers_out, "Retry-After", n);
    apr_table_setn(r->err_headers_out, "Cache-Control", "no-store");
    if (weave_conf_int(conf, WEAVE_MAINTENANCE_STYLE) != WEAVE_STYLE_SYNC)
        return;
    apr_table_setn(r->err_headers_out, "X-Weave-Backoff", n);
    apr_table_setn(r->err_headers_out, "X-Backoff", n);
    apr_table_setn(r->err_headers_out, "X-Weave-Maintenance", "1");
    apr_table_setn(r->err_headers_out, "X-Weave-Timestamp",
                   apr_psprintf(r->pool, "%" APR_TIME_T_FMT ".%02d",
                                apr_time_sec(now),
                                (int)(apr_time_usec(now) / 10000)));
}

int mod_weave_unavailable(request_rec *r, const weave_conf_t *conf)
{
    const mod_weave_mount_t *mount = mod_weave_mount_of(r);
    kind_t kind = kind_of(r, r->uri + mount->prefix_len, conf);

    apr_interval_time_t pause = weave_conf_int(conf, WEAVE_LIMITS_BACKOFF);

    /* a client in the middle of an upload sees the answer, not a reset; one
     * that asks first need not begin */
    if (r->expecting_100 || ap_discard_request_body(r) != OK)
        r->connection->keepalive = AP_CONN_CLOSE;
    add_headers(r, conf, spread(apr_time_sec(pause), conf));
    r->status = HTTP_SERVICE_UNAVAILABLE;
    ap_set_content_type(r, kind.type);
    ap_set_content_length(r, (apr_off_t)strlen(kind.body));
    ap_rputs(kind.body, r);
    return OK;
}
