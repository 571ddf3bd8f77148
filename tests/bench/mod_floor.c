/* SPDX-License-Identifier: Apache-2.0 */
/* The floor: what httpd itself costs for the answers of app.wsgi.
 *
 * `SetHandler weave-floor` answers /hello, /env, /post, /big and /sleep with
 * the bytes (for /env: as many bytes) that the WSGI application sends, and
 * the first call of a sync with mod_weave's 503 during maintenance, its numbers
 * fixed. The workloads that burn Python have no counterpart in C, so /cpu and
 * /mix are not found here. */
#include "httpd.h"
#include "http_config.h"
#include "http_protocol.h"
#include "apr_strings.h"

#include <string.h>

#define HELLO "Hello, world\n"
#define ENV_BYTES 4096
#define BIG_BYTES (1024 * 1024)
#define READ_BYTES (64 * 1024)
#define SLEEP_US 10000
#define REFUSAL "\"server issue: maintenance\""

typedef int (*floor_answer_fn)(request_rec *r);

/* Immortal for the life of the process: answers never copy. */
static char env_body[ENV_BYTES];
static char big_body[BIG_BYTES];

static int floor_send(request_rec *r, const char *type, const char *bytes,
                      apr_size_t length)
{
    conn_rec *c = r->connection;
    apr_bucket_brigade *out = apr_brigade_create(r->pool, c->bucket_alloc);

    ap_set_content_type(r, type);
    ap_set_content_length(r, (apr_off_t)length);
    APR_BRIGADE_INSERT_TAIL(
        out, apr_bucket_immortal_create(bytes, length, c->bucket_alloc));
    APR_BRIGADE_INSERT_TAIL(out, apr_bucket_eos_create(c->bucket_alloc));
    return ap_pass_brigade(r->output_filters, out) == APR_SUCCESS
               ? OK
               : AP_FILTER_ERROR;
}

static int floor_hello(request_rec *r)
{
    return floor_send(r, "text/plain", HELLO, sizeof(HELLO) - 1);
}

static int floor_env(request_rec *r)
{
    return floor_send(r, "application/json", env_body, ENV_BYTES);
}

static int floor_big(request_rec *r)
{
    return floor_send(r, "text/plain", big_body, BIG_BYTES);
}

static int floor_sleep(request_rec *r)
{
    apr_sleep(SLEEP_US);
    return floor_hello(r);
}

static int floor_post(request_rec *r)
{
    char *buffer = apr_palloc(r->pool, READ_BYTES);
    apr_off_t total = 0;
    long got = 0;
    const char *answer;
    int status = ap_setup_client_block(r, REQUEST_CHUNKED_ERROR);

    if (status != OK) {
        return status;
    }
    if (ap_should_client_block(r)) {
        while ((got = ap_get_client_block(r, buffer, READ_BYTES)) > 0) {
            total += got;
        }
    }
    if (got < 0) {
        return HTTP_BAD_REQUEST;
    }
    answer = apr_off_t_toa(r->pool, total);
    return floor_send(r, "text/plain", answer, strlen(answer));
}

/* As src/httpd/child/unavailable.c has it, without a reason to ask. */
static int floor_refuse(request_rec *r)
{
    apr_table_t *out = r->err_headers_out;

    apr_table_setn(out, "Retry-After", "1800");
    apr_table_setn(out, "Cache-Control", "no-store");
    apr_table_setn(out, "X-Weave-Backoff", "1800");
    apr_table_setn(out, "X-Backoff", "1800");
    apr_table_setn(out, "X-Weave-Maintenance", "1");
    apr_table_setn(out, "X-Weave-Timestamp", "1700000000.00");
    r->status = HTTP_SERVICE_UNAVAILABLE;
    return floor_send(r, "application/json", REFUSAL, sizeof(REFUSAL) - 1);
}

static const struct {
    const char *path;
    floor_answer_fn answer;
} workloads[] = {
    {"/hello", floor_hello}, {"/env", floor_env},
    {"/post", floor_post},   {"/big", floor_big},
    {"/sleep", floor_sleep}, {"/1.1/user/info/collections", floor_refuse},
};

static int floor_handler(request_rec *r)
{
    size_t i;

    if (!r->handler || strcmp(r->handler, "weave-floor") != 0) {
        return DECLINED;
    }
    for (i = 0; i < sizeof(workloads) / sizeof(workloads[0]); i++) {
        if (strcmp(r->uri, workloads[i].path) == 0) {
            return workloads[i].answer(r);
        }
    }
    return HTTP_NOT_FOUND;
}

static void floor_register_hooks(apr_pool_t *pool)
{
    (void)pool;
    memset(env_body, 'x', sizeof(env_body));
    memset(big_body, 'x', sizeof(big_body));
    ap_hook_handler(floor_handler, NULL, NULL, APR_HOOK_MIDDLE);
}

AP_DECLARE_MODULE(floor) = {
    STANDARD20_MODULE_STUFF, NULL, NULL, NULL, NULL, NULL, floor_register_hooks,
#if defined(AP_MODULE_FLAG_NONE)
    AP_MODULE_FLAG_NONE,
#endif
};
