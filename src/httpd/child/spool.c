/* SPDX-License-Identifier: Apache-2.0 */
/* spool.c: a request body, all of it, before the application hears of it
 *
 * A slow upload costs a thread of httpd, which is cheap, and no executor of a
 * worker. And the application learns how long a body is whose length nobody has
 * announced. What is small stays in memory, the rest goes to a file without a
 * name, whose descriptor a worker gets. */
#include "exchange.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#include <apr_file_io.h>
#include <apr_strings.h>

#include "weave_fd.h"
#include "weave_file.h"

#define BLOCK 65536
#define FIRST_ROOM 8192               /* for a body of unknown length */
#define MEMORY_MOST (8 * 1024 * 1024) /* whatever spool_at says: one frame */
#define COUNT_FIRST (256 * 1024)      /* that much of a file is counted, */
#define COUNT_STEP (1024 * 1024)      /* and then more at once */

/* The HTTP status for what ends a body early. */
static int status_of(const mod_weave_exchange_t *exchange)
{
    switch (exchange->in_problem) {
    case WEAVE_IO_TOO_LARGE:
        return HTTP_REQUEST_ENTITY_TOO_LARGE;
    case WEAVE_IO_TIMEOUT:
        return HTTP_REQUEST_TIME_OUT;
    default:
        return HTTP_BAD_REQUEST;
    }
}

/* ---- descriptors ---- */

/* Which descriptors are those of bodies: a process that an embedded application
 * forks meanwhile closes them. Larger ones than these it keeps. */
static _Atomic char is_body[65536];

static void fd_note(int fd, int value)
{
    if (fd < (int)sizeof(is_body))
        atomic_store_explicit(&is_body[fd], (char)value, memory_order_relaxed);
}

int mod_weave_spool_forget(int fd)
{
    return fd < (int)sizeof(is_body) &&
           atomic_exchange_explicit(&is_body[fd], 0, memory_order_relaxed);
}

static void fd_close(int fd)
{
    fd_note(fd, 0);
    close(fd);
}

/* ---- files ---- */

/* A file of a body, and what of it is counted. */
typedef struct {
    int fd;
    const mod_weave_app_t *app;
    apr_uint64_t counted;
} file_t;

/* Empties it, too: a worker may hold on to its descriptor. */
static apr_status_t file_drop(void *data)
{
    file_t *file = data;
    int rc = ftruncate(file->fd, 0);

    (void)rc;
    fd_close(file->fd);
    if (file->counted)
        atomic_fetch_sub(&mod_weave_counters_child->spooled[file->app->slot],
                         file->counted);
    return APR_SUCCESS;
}

static int fd_open(const char *dir, apr_pool_t *pool)
{
    int fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

    if (fd < 0 && (errno == EOPNOTSUPP || errno == EISDIR)) {
        char *name = apr_pstrcat(pool, dir, "/weave-XXXXXX", NULL);

        fd = mkostemp(name, O_CLOEXEC);
        if (fd >= 0)
            unlink(name);
    }
    return fd;
}

/* A file without a name in DIR, which goes with the request; or NULL. */
static file_t *file_open(const mod_weave_exchange_t *exchange, const char *dir)
{
    apr_pool_t *pool = exchange->r->pool;
    file_t *file = apr_pcalloc(pool, sizeof(*file));

    file->app = exchange->mount->app;
    file->fd = fd_open(dir, pool);
    if (file->fd < 0)
        return NULL;
    fd_note(file->fd, 1);
    apr_pool_cleanup_register(pool, file, file_drop, apr_pool_cleanup_null);
    return file;
}

/* ---- bounds ---- */

/* Says so, as httpd does for LimitRequestBody. */
static int is_too_long(const mod_weave_exchange_t *exchange, apr_uint64_t bytes)
{
    apr_int64_t most = weave_conf_int(exchange->conf, WEAVE_LIMITS_SPOOL_MAX);

    if (bytes <= (apr_uint64_t)most)
        return 0;
    ap_log_rerror(APLOG_MARK, APLOG_WARNING, 0, exchange->r,
                  "WEAVE0191: a request body is larger than limits.spool_max"
                  " (%" APR_INT64_T_FMT " bytes): it is answered 413",
                  most);
    return 1;
}

static void total_complain(const mod_weave_exchange_t *exchange)
{
    static _Atomic int64_t next_us;

    if (mod_weave_log_is_due(&next_us))
        ap_log_rerror(APLOG_MARK, APLOG_WARNING, 0, exchange->r,
                      "WEAVE0190: the request bodies of %s have all that"
                      " limits.spool_total gives them (%" APR_INT64_T_FMT
                      " bytes): more of them are answered 503 until some of"
                      " these are through",
                      exchange->mount->app->ini,
                      weave_conf_int(exchange->conf, WEAVE_LIMITS_SPOOL_TOTAL));
}

/* Counts for what FILE is about to have: OK, or the HTTP status of a body that
 * is too large. A client that has announced much, and sends little, holds no
 * more than that. */
static int file_count(const mod_weave_exchange_t *exchange, file_t *file,
                      apr_uint64_t bytes)
{
    const weave_conf_t *conf = exchange->conf;
    apr_uint64_t step;

    if (is_too_long(exchange, bytes))
        return HTTP_REQUEST_ENTITY_TOO_LARGE;
    if (bytes <= file->counted)
        return OK;
    step = file->counted ? COUNT_STEP : COUNT_FIRST;
    while (file->counted + step < bytes)
        step += COUNT_STEP;
    if (!mod_weave_counters_child ||
        weave_counters_spool(
            mod_weave_counters, mod_weave_counters_child,
            (apr_uint32_t)file->app->slot, step,
            (apr_uint64_t)weave_conf_int(conf, WEAVE_LIMITS_SPOOL_TOTAL)) < 0) {
        total_complain(exchange);
        return HTTP_SERVICE_UNAVAILABLE;
    }
    file->counted += step;
    return OK;
}

/* ---- writing ---- */

static const char *spool_folder(const mod_weave_exchange_t *exchange)
{
    const char *dir = weave_conf_str(exchange->conf, WEAVE_LIMITS_SPOOL_DIR);

    if (!*dir && apr_temp_dir_get(&dir, exchange->r->pool) != APR_SUCCESS)
        dir = "/tmp";
    return dir;
}

static int no_space(const mod_weave_exchange_t *exchange)
{
    int error = errno;

    ap_log_rerror(APLOG_MARK, APLOG_ERR, error, exchange->r,
                  "WEAVE0135: a request body cannot be spooled to %s: make"
                  " room there, let httpd's children write there, or set"
                  " limits.spool_dir",
                  spool_folder(exchange));
    return HTTP_SERVICE_UNAVAILABLE;
}

/* LEN bytes to the end of FILE: OK, or an HTTP status. */
static int file_append(mod_weave_exchange_t *exchange, file_t *file,
                       const char *data, apr_size_t len)
{
    mod_weave_spool_t *spool = &exchange->spool;
    int rc = file_count(exchange, file, (apr_uint64_t)spool->file_bytes + len);

    if (rc == OK && weave_file_write(file->fd, data, len) < 0)
        return no_space(exchange);
    spool->file_bytes += (apr_off_t)len;
    return rc;
}

static apr_status_t fd_cleanup(void *fd)
{
    fd_close((int)(intptr_t)fd);
    return APR_SUCCESS;
}

/* A descriptor of FILE that can be read only: the worker, who gets it, must not
 * make it grow. Without /proc (ChrootDir) there is but the one. 0, or -1 and
 * errno. */
static int file_reopen(request_rec *r, const file_t *file, int *fd)
{
    *fd = weave_fd_reopen(file->fd, O_RDONLY);
    if (*fd < 0 && errno == ENOENT)
        *fd = file->fd;
    if (*fd < 0)
        return -1;
    if (*fd != file->fd) {
        fd_note(*fd, 1);
        apr_pool_cleanup_register(r->pool, (void *)(intptr_t)*fd, fd_cleanup,
                                  apr_pool_cleanup_null);
    }
    return 0;
}

/* What is left of the body, behind what is in memory, to the file. */
static int to_file(mod_weave_exchange_t *exchange)
{
    mod_weave_spool_t *spool = &exchange->spool;
    char *block = apr_palloc(exchange->r->pool, BLOCK);
    file_t *file = file_open(exchange, spool_folder(exchange));
    ssize_t got = 0;
    int rc;

    if (!file)
        return no_space(exchange);
    rc = file_append(exchange, file, spool->data, spool->len);
    spool->len = 0;
    while (rc == OK && (got = mod_weave_body_read(exchange, block, BLOCK)) > 0)
        rc = file_append(exchange, file, block, (apr_size_t)got);
    if (got < 0)
        return status_of(exchange);
    if (rc == OK && file_reopen(exchange->r, file, &spool->fd) < 0)
        return no_space(exchange);
    return rc;
}

/* How much may stay in memory. */
static apr_size_t memory_of(const mod_weave_exchange_t *exchange)
{
    apr_int64_t most = weave_conf_int(exchange->conf, WEAVE_LIMITS_SPOOL_AT);

    return most < MEMORY_MOST ? (apr_size_t)most : MEMORY_MOST;
}

/* Fills memory up to MOST bytes. 1: there is more of it; 0: that was all; or
 * -1. One byte more than there is room for shows whether it goes on. */
static int to_memory(mod_weave_exchange_t *exchange, apr_size_t most,
                     apr_size_t room)
{
    mod_weave_spool_t *spool = &exchange->spool;
    apr_pool_t *pool = exchange->r->pool;
    char *data = apr_palloc(pool, room + 1);
    ssize_t got;

    for (;;) {
        got = mod_weave_body_read(exchange, data + spool->len,
                                  room + 1 - spool->len);
        spool->data = data;
        if (got <= 0)
            return (int)got;
        spool->len += (apr_size_t)got;
        if (spool->len > most)
            return 1;
        if (exchange->in_ended)
            return 0;
        if (spool->len > room) {
            room = room * 2 < most ? room * 2 : most;
            data = memcpy(apr_palloc(pool, room + 1), data, spool->len);
        }
    }
}

static int body_spool(mod_weave_exchange_t *exchange)
{
    apr_size_t most = memory_of(exchange), room;
    apr_off_t length = exchange->length;
    int more;

    if (length >= 0 && (apr_uint64_t)length > most)
        /* before any of it: who asks with 100-continue need not begin */
        return is_too_long(exchange, (apr_uint64_t)length)
                   ? HTTP_REQUEST_ENTITY_TOO_LARGE
                   : to_file(exchange);
    room = length >= 0 ? (apr_size_t)length : FIRST_ROOM;
    more = to_memory(exchange, most, room < most ? room : most);
    if (more > 0)
        return to_file(exchange);
    return more < 0 ? status_of(exchange) : OK;
}

int mod_weave_spool(mod_weave_exchange_t *exchange)
{
    const mod_weave_spool_t *spool = &exchange->spool;
    int rc = exchange->has_body ? body_spool(exchange) : OK;

    if (rc == OK)
        mod_weave_body_counted(exchange,
                               (apr_off_t)spool->len + spool->file_bytes);
    return rc;
}
