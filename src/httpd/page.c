/* SPDX-License-Identifier: Apache-2.0 */
/* page.c: the page for people, where they ask for one */
#include "mod_weave.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <apr_strings.h>
#include <http_main.h>
#include <unixd.h>

#define PAGE_BYTES 262144
#define COMPLAIN_EVERY APR_TIME_C(60000000)
#define CANNOT_SHOW                                                            \
    "WEAVE0154: maintenance.page, %s, cannot be shown: %s. People see the"     \
    " built-in page; make it readable for the user that httpd runs as"

/* What stands for maintenance.message, in the file and here. */
static const char token[] = "{message}";
static const char built_in[] =
    "<!DOCTYPE html>\n"
    "<html lang=\"en\"><head><meta charset=\"utf-8\">"
    "<meta name=\"viewport\" content=\"width=device-width\">"
    "<title>Back soon</title><style>"
    "body{font:1.1em/1.5 sans-serif;max-width:32em;margin:15vh auto;"
    "padding:0 1em;color:#222;background:#fff}"
    "@media(prefers-color-scheme:dark){body{color:#ddd;background:#1b1b1b}}"
    "</style></head><body><h1>Back soon</h1>"
    "<p>This service pauses for a moment. Please try again later.</p>"
    "<p>{message}</p></body></html>\n";

/* ---- does the client want it? ---- */

static int thousandths(const char *text)
{
    double q = strtod(text, NULL);

    return q >= 1 ? 1000 : q > 0 ? (int)(q * 1000) : 0;
}

/* The quality of RANGE in an Accept header, in thousandths; -1: not named (RFC
 * 9110 section 12.5.1). */
static int quality(const char *accept, const char *range)
{
    apr_size_t len = strlen(range);
    const char *at = accept;

    while (*at) {
        at += strspn(at, " \t,");
        if (!ap_cstr_casecmpn(at, range, len) && strchr(" \t,;", at[len])) {
            const char *end = at + strcspn(at, ","), *q = at + len;

            while ((q = strchr(q, ';')) && q < end) {
                q += 1 + strspn(q + 1, " \t");
                if ((*q == 'q' || *q == 'Q') && q[1] == '=')
                    return thousandths(q + 2);
            }
            return 1000;
        }
        at += strcspn(at, ",");
    }
    return -1;
}

/* Who takes anything gets what programs get: HTML has to be named. */
static int prefers_html(request_rec *r)
{
    const char *accept = apr_table_get(r->headers_in, "Accept");
    int html = accept ? quality(accept, "text/html") : 0;
    int json = accept ? quality(accept, "application/json") : 0;

    if (html > 0 && json < 0)
        json = quality(accept, "application/*");
    if (html > 0 && json < 0)
        json = quality(accept, "*/*");
    return html > 0 && html >= json;
}

/* ---- the file ---- */

/* NULL and errno; EFBIG: it is no page. */
static char *file_read(const char *path, apr_pool_t *pool)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    char *text = NULL;
    struct stat status;
    ssize_t got = -1;

    if (fd < 0)
        return NULL;
    errno = EFBIG;
    if (fstat(fd, &status) == 0 && S_ISREG(status.st_mode) &&
        status.st_size <= PAGE_BYTES) {
        text = apr_palloc(pool, (apr_size_t)status.st_size + 1);
        got = read(fd, text, (size_t)status.st_size);
    }
    if (got >= 0)
        text[got] = '\0';
    close(fd);
    return got < 0 ? NULL : text;
}

static const char *why_not(int error, apr_pool_t *pool)
{
    return error == EFBIG ? apr_psprintf(pool,
                                         "this is no file of at most %d"
                                         " KiB",
                                         PAGE_BYTES / 1024)
                          : strerror(error);
}

/* Once a minute for each child: it may be everybody who asks. */
static void complain(request_rec *r, const char *path, int error)
{
    static apr_time_t said;

    if (r->request_time - said < COMPLAIN_EVERY)
        return;
    said = r->request_time;
    ap_log_rerror(APLOG_MARK, APLOG_ERR, 0, r, CANNOT_SHOW, path,
                  why_not(error, r->pool));
}

/* ---- the page ---- */

static const char *filled(const char *text, const char *message,
                          apr_pool_t *pool)
{
    const char *with = ap_escape_html(pool, message), *found;
    const char *page = "";

    while ((found = strstr(text, token)) != NULL) {
        page = apr_pstrcat(
            pool, page, apr_pstrmemdup(pool, text, (apr_size_t)(found - text)),
            with, NULL);
        text = found + sizeof(token) - 1;
    }
    return apr_pstrcat(pool, page, text, NULL);
}

const char *mod_weave_page(request_rec *r, const weave_conf_t *conf,
                           const char *message, apr_size_t *len)
{
    const char *path = weave_conf_str(conf, WEAVE_MAINTENANCE_PAGE);
    const char *text = NULL;

    if (!prefers_html(r))
        return NULL;
    if (*path) {
        text = file_read(path, r->pool);
        if (!text)
            complain(r, path, errno);
    }
    text = filled(text ? text : built_in, message, r->pool);
    *len = strlen(text);
    return text;
}

/* ---- at configtest ---- */

/* As the user of httpd's children would find it: errno, 0: it can be read. */
static int try_as_child(const char *path, apr_pool_t *pool)
{
    pid_t pid = geteuid() == 0 ? fork() : -1;
    int status = 0;

    if (pid == 0) {
        if (initgroups(ap_unixd_config.user_name, ap_unixd_config.group_id) !=
                0 ||
            setgid(ap_unixd_config.group_id) != 0 ||
            setuid(ap_unixd_config.user_id) != 0)
            _exit(EPERM);
        _exit(file_read(path, pool) ? 0 : errno & 255);
    }
    if (pid < 0)
        return file_read(path, pool) ? 0 : errno;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    return WIFEXITED(status) ? WEXITSTATUS(status) : EACCES;
}

const char *mod_weave_page_check(const weave_conf_t *conf, apr_pool_t *pool)
{
    const char *path = weave_conf_str(conf, WEAVE_MAINTENANCE_PAGE);
    int error = *path ? try_as_child(path, pool) : 0;

    if (!error)
        return NULL;
    if (mod_weave_is_configtest())
        return apr_pstrcat(pool, path, ": ", why_not(error, pool), NULL);
    /* nothing stops because of a page that has gone */
    ap_log_error(APLOG_MARK, APLOG_ERR, 0, ap_server_conf, CANNOT_SHOW, path,
                 why_not(error, pool));
    return NULL;
}
