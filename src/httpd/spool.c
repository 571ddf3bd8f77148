/* SPDX-License-Identifier: Apache-2.0 */
/* spool.c: a request body, all of it, before a worker hears of it
 *
 * A slow upload costs a thread of httpd, which is cheap, and no executor of a
 * worker. What is small stays in memory, the rest goes to a file without a
 * name, whose descriptor the worker gets. */
#include "mod_weave.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include <apr_file_io.h>
#include <apr_strings.h>

#define BLOCK 65536
#define FIRST_ROOM 8192               /* for a body of unknown length */
#define MEMORY_MOST (8 * 1024 * 1024) /* whatever spool_at says: one frame */

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

static apr_status_t close_fd(void *fd)
{
    close((int)(intptr_t)fd);
    return APR_SUCCESS;
}

/* A file without a name in DIR, which goes with the request. */
static int file_open(request_rec *r, const char *dir)
{
    int fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

    if (fd < 0 && (errno == EOPNOTSUPP || errno == EISDIR)) {
        char *name = apr_pstrcat(r->pool, dir, "/weave-XXXXXX", NULL);

        fd = mkostemp(name, O_CLOEXEC);
        if (fd >= 0)
            unlink(name);
    }
    if (fd >= 0)
        apr_pool_cleanup_register(r->pool, (void *)(intptr_t)fd, close_fd,
                                  apr_pool_cleanup_null);
    return fd;
}

static int write_all(int fd, const char *data, apr_size_t len)
{
    while (len) {
        ssize_t put = write(fd, data, len);

        if (put < 0 && errno != EINTR)
            return -1;
        if (put > 0) {
            data += put;
            len -= (apr_size_t)put;
        }
    }
    return 0;
}

static int no_space(request_rec *r, const char *dir)
{
    ap_log_rerror(APLOG_MARK, APLOG_ERR, errno, r,
                  "WEAVE0135: a request body cannot be spooled to %s: make"
                  " room there, let httpd's children write there, or set"
                  " limits.spool_dir",
                  dir);
    return HTTP_SERVICE_UNAVAILABLE;
}

/* What is left of the body, behind what is in memory, to the file. */
static int to_file(mod_weave_exchange_t *exchange, mod_weave_spool_t *spool)
{
    request_rec *r = exchange->r;
    const char *dir = weave_conf_str(exchange->conf, WEAVE_LIMITS_SPOOL_DIR);
    char *block = apr_palloc(r->pool, BLOCK);
    ssize_t got = 0;

    if (!*dir && apr_temp_dir_get(&dir, r->pool) != APR_SUCCESS)
        dir = "/tmp";
    spool->fd = file_open(r, dir);
    if (spool->fd < 0 || write_all(spool->fd, spool->data, spool->len) < 0)
        return no_space(r, dir);
    spool->file_bytes = (apr_off_t)spool->len;
    spool->len = 0;
    while ((got = mod_weave_body_read(exchange, block, BLOCK)) > 0) {
        if (write_all(spool->fd, block, (apr_size_t)got) < 0)
            return no_space(r, dir);
        spool->file_bytes += got;
    }
    return got < 0 ? status_of(exchange) : OK;
}

/* How much may stay in memory, and how much to begin with. */
static apr_size_t memory_of(const mod_weave_exchange_t *exchange)
{
    apr_int64_t most = weave_conf_int(exchange->conf, WEAVE_LIMITS_SPOOL_AT);

    return most < MEMORY_MOST ? (apr_size_t)most : MEMORY_MOST;
}

/* Fills memory up to MOST bytes. 1: there is more of it; 0: that was all; or
 * -1. One byte more than there is room for shows whether it goes on. */
static int to_memory(mod_weave_exchange_t *exchange, mod_weave_spool_t *spool,
                     apr_size_t most, apr_size_t room)
{
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

int mod_weave_spool(mod_weave_exchange_t *exchange, mod_weave_spool_t *spool)
{
    apr_size_t most = memory_of(exchange), room;
    apr_off_t length = mod_weave_body_length(exchange);
    int more;

    spool->fd = -1;
    if (!exchange->has_body)
        return OK;
    if (length >= 0 && (apr_uint64_t)length > most)
        return to_file(exchange, spool);
    room = length >= 0 ? (apr_size_t)length : FIRST_ROOM;
    more = to_memory(exchange, spool, most, room < most ? room : most);
    if (more > 0)
        return to_file(exchange, spool);
    return more < 0 ? status_of(exchange) : OK;
}
