/* SPDX-License-Identifier: Apache-2.0 */
/* unavailable.c: the 503 that any client understands, or Sync clients obey
 *
 * With maintenance.style = sync, headers and bodies are those that clients of
 * Sync 1.0 to 1.5 read: decimal seconds, the same number in every header, a
 * body each API can parse. Then 500, 502 and 504 that mod_weave answers in
 * place of the application have them as well. Only during a maintenance does
 * an answer speak of one. */
#include "exchange.h"

#include <apr_buckets.h>
#include <apr_strings.h>

/* what the clients of each API can read */
#define SYNC_STORAGE(issue) "\"server issue: " issue "\""
#define SYNC_TOKEN(issue)                                                      \
    "{\"status\":\"error\",\"errors\":[{\"location\":\"internal\",\"name\":"   \
    "\"\",\"description\":\"" issue "\"}]}"
#define PAUSE_ISSUE "maintenance"
#define FAILURE_ISSUE "not available"

static const char pause_body[] = "This service pauses for a moment.\n";
static const char failure_body[] =
    "This service is not available at the moment. Please try again later.\n";

typedef struct {
    const char *type, *body;
    apr_size_t len;
} kind_t;

static int path_starts(const char *path, const char *prefix)
{
    return strncmp(path, prefix, strlen(prefix)) == 0;
}

/* Compares without the slashes at the end of PATH. */
static int path_ends(const char *path, const char *suffix)
{
    apr_size_t len = strlen(path), want = strlen(suffix);

    while (len && path[len - 1] == '/')
        len--;
    return len >= want && !strncmp(path + len - want, suffix, want);
}

int mod_weave_is_sync(const weave_conf_t *conf)
{
    return weave_conf_int(conf, WEAVE_MAINTENANCE_STYLE) == WEAVE_STYLE_SYNC;
}

#define KIND(type, text)                                                       \
    (kind_t)                                                                   \
    {                                                                          \
        type, text, sizeof(text) - 1                                           \
    }
#define SYNC_KIND(body, is_pause)                                              \
    ((is_pause) ? KIND("application/json", body(PAUSE_ISSUE))                  \
                : KIND("application/json", body(FAILURE_ISSUE)))

/* Chooses by path, never by User-Agent. MESSAGE is NULL where this is no
 * maintenance. */
static kind_t refusal_choose(request_rec *r, const char *path,
                             const weave_conf_t *conf, const char *message)
{
    int sync = mod_weave_is_sync(conf);
    const char *page;
    apr_size_t len;

    if (sync && path_ends(path, "/1.0/sync/1.5"))
        return SYNC_KIND(SYNC_TOKEN, message);
    if (sync && path_starts(path, "/1.5/"))
        return KIND("application/json", "0");
    if (sync && (path_starts(path, "/1.0/") || path_starts(path, "/1.1/") ||
                 path_starts(path, "/1/") || path_starts(path, "/user/") ||
                 path_starts(path, "/misc/")))
        return SYNC_KIND(SYNC_STORAGE, message);
    page = mod_weave_page(r, conf, message, &len);
    if (page)
        return (kind_t){"text/html; charset=utf-8", page, len};
    if (sync)
        return SYNC_KIND(SYNC_STORAGE, message);
    if (!message)
        return KIND("text/plain; charset=utf-8", failure_body);
    if (*message)
        return (kind_t){"text/plain; charset=utf-8",
                        apr_pstrcat(r->pool, message, "\n", NULL),
                        strlen(message) + 1};
    return KIND("text/plain; charset=utf-8", pause_body);
}

/* ---- how long ---- */

/* Adds 0 to maintenance.spread (at least 5 s), once per answer: clients that
 * are told the same number come back in the same second. */
static apr_int64_t spread_add(apr_int64_t seconds, const weave_conf_t *conf)
{
    apr_int64_t percent = weave_conf_int(conf, WEAVE_MAINTENANCE_SPREAD);
    apr_int64_t most = seconds * percent / 100;

    if (percent <= 0)
        return seconds;
    return seconds + ap_random_pick(0, (apr_uint32_t)(most > 5 ? most : 5));
}

/* Returns the seconds of one answer, which are the same in all its headers. */
static const char *seconds_of(request_rec *r, const weave_conf_t *conf,
                              const mod_weave_verdict_t *verdict)
{
    const weave_maintenance_t *setting = verdict ? &verdict->all.setting : NULL;
    apr_int64_t seconds;

    if (!setting || verdict->load)
        seconds = apr_time_sec(weave_conf_int(conf, WEAVE_LIMITS_BACKOFF));
    else if (setting->retry_after_s)
        seconds = setting->retry_after_s;
    else if (setting->until_us)
        seconds = (setting->until_us - apr_time_now()) / APR_USEC_PER_SEC + 1;
    else
        seconds =
            apr_time_sec(weave_conf_int(conf, WEAVE_MAINTENANCE_RETRY_AFTER));
    if (setting && setting->until_us && !setting->retry_after_s &&
        seconds < WEAVE_MAINTENANCE_REMAINING_MIN)
        seconds = WEAVE_MAINTENANCE_REMAINING_MIN;
    /* it may end sooner than was thought */
    if (seconds > WEAVE_MAINTENANCE_RETRY_MAX)
        seconds = WEAVE_MAINTENANCE_RETRY_MAX;
    return apr_psprintf(r->pool, "%" APR_INT64_T_FMT,
                        spread_add(seconds, conf));
}

/* ---- answers ---- */

static void refusal_headers(request_rec *r, const weave_conf_t *conf,
                            const char *seconds, int is_pause)
{
    apr_table_t *out = r->err_headers_out;
    apr_time_t now = apr_time_now();

    /* of whatever this has come to us from, such as an ErrorDocument 401 */
    apr_table_unset(out, "WWW-Authenticate");
    apr_table_unset(out, "Location");
    apr_table_setn(out, "Retry-After", seconds);
    apr_table_setn(out, "Cache-Control", "no-store");
    if (!mod_weave_is_sync(conf))
        return;
    apr_table_setn(out, "X-Weave-Backoff", seconds);
    apr_table_setn(out, "X-Backoff", seconds);
    if (is_pause)
        apr_table_setn(out, "X-Weave-Maintenance", "1");
    apr_table_setn(out, "X-Weave-Timestamp",
                   apr_psprintf(r->pool, "%" APR_TIME_T_FMT ".%02d",
                                apr_time_sec(now),
                                (int)(apr_time_usec(now) / 10000)));
}

/* Returns the larger one of SECONDS and what the client would be told already.
 */
static const char *longer_choose(request_rec *r, const char *seconds)
{
    const char *told = apr_table_get(r->err_headers_out, "X-Weave-Backoff");

    return told && apr_atoi64(told) > apr_atoi64(seconds) ? told : seconds;
}

/* Reads the body, so that a client in the middle of an upload sees the answer
 * and no reset. A client that asks first (Expect) need not begin, nor one that
 * has announced too much: httpd would answer that itself. */
static void body_read_off(request_rec *r)
{
    const char *text = apr_table_get(r->headers_in, "Content-Length");
    apr_off_t limit = ap_get_limit_req_body(r), announced = 0;

    if (r->connection->master) {
        mod_weave_body_discard(r);
        return;
    }
    if (text && !ap_parse_strict_length(&announced, text))
        announced = -1;
    if (r->expecting_100 || announced < 0 || (limit > 0 && announced > limit) ||
        ap_discard_request_body(r) != OK)
        r->connection->keepalive = AP_CONN_CLOSE;
}

/* Returns 1 where the body is chunked. Chunks that are wrong, or too many,
 * httpd answers itself in the middle of reading: so they are read when our
 * answer is out. */
static int is_chunked(const request_rec *r)
{
    return !r->connection->master &&
           apr_table_get(r->headers_in, "Transfer-Encoding") != NULL;
}

/* Does what ap_discard_request_body() does not do behind a 503. */
static void chunks_read_off(request_rec *r)
{
    apr_bucket_brigade *in =
        apr_brigade_create(r->pool, r->connection->bucket_alloc);
    int ended = r->expecting_100;

    ap_rflush(r);
    while (!ended && ap_get_brigade(r->input_filters, in, AP_MODE_READBYTES,
                                    APR_BLOCK_READ, 65536) == APR_SUCCESS) {
        ended =
            APR_BRIGADE_EMPTY(in) || APR_BUCKET_IS_EOS(APR_BRIGADE_LAST(in));
        apr_brigade_cleanup(in);
    }
}

static void refusal_count(const mod_weave_mount_t *mount, weave_refused_e why)
{
    weave_counters_row_t *row = mod_weave_counters_row(mount);

    if (row)
        atomic_fetch_add_explicit(&row->refused[why], 1, memory_order_relaxed);
}

/* Sends STATUS. MESSAGE is NULL where this is no maintenance. */
static void refusal_send(request_rec *r, const weave_conf_t *conf, int status,
                         const char *message, const char *seconds)
{
    const char *path = r->uri + mod_weave_mount_of(r)->prefix_len;
    kind_t kind = refusal_choose(r, path, conf, message);

    if (is_chunked(r))
        r->connection->keepalive = AP_CONN_CLOSE;
    else
        body_read_off(r);
    refusal_headers(r, conf, seconds, message != NULL);
    r->status = status;
    r->status_line = NULL;
    ap_set_content_type(r, kind.type);
    ap_set_content_length(r, (apr_off_t)kind.len);
    ap_rwrite(kind.body, (int)kind.len, r);
    if (is_chunked(r))
        chunks_read_off(r);
}

int mod_weave_unavailable(request_rec *r, const weave_conf_t *conf,
                          weave_refused_e why,
                          const mod_weave_verdict_t *verdict)
{
    const char *message = NULL, *seconds = seconds_of(r, conf, verdict);

    refusal_count(mod_weave_mount_of(r), why);
    if (why == WEAVE_REFUSED_MAINTENANCE)
        message = verdict && *verdict->all.message
                      ? verdict->all.message
                      : weave_conf_str(conf, WEAVE_MAINTENANCE_MESSAGE);
    refusal_send(r, conf, HTTP_SERVICE_UNAVAILABLE, message,
                 verdict ? seconds : longer_choose(r, seconds));
    return OK;
}

int mod_weave_failure(request_rec *r, const weave_conf_t *conf, int status)
{
    if (!mod_weave_is_sync(conf) || r->main || status == HTTP_NOT_IMPLEMENTED ||
        status < HTTP_INTERNAL_SERVER_ERROR)
        return status;
    ap_log_rerror(APLOG_MARK, APLOG_INFO, 0, r,
                  "answered %d in place of the application (request %s)",
                  status, mod_weave_request_id(r));
    refusal_send(r, conf, status, NULL,
                 longer_choose(r, seconds_of(r, conf, NULL)));
    return OK;
}

void mod_weave_backoff_add(request_rec *r, const weave_conf_t *conf,
                           const mod_weave_verdict_t *verdict)
{
    weave_counters_row_t *row = mod_weave_counters_row(mod_weave_mount_of(r));
    const char *seconds;

    if (apr_table_get(r->err_headers_out, "X-Weave-Backoff"))
        return;
    seconds = seconds_of(r, conf, verdict);
    apr_table_setn(r->err_headers_out, "X-Weave-Backoff", seconds);
    apr_table_setn(r->err_headers_out, "X-Backoff", seconds);
    if (!row)
        return;
    atomic_fetch_add_explicit(verdict->load ? &row->backoff_load
                                            : &row->backoff,
                              1, memory_order_relaxed);
    if (verdict->load)
        atomic_store_explicit(&row->load_us, r->request_time,
                              memory_order_relaxed);
}
