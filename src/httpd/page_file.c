/* SPDX-License-Identifier: Apache-2.0 */
/* page_file.c: reads the file of maintenance.page, and says what is wrong with
 * it */
#include "mod_weave.h"

#include <fcntl.h>
#include <string.h>

#include <apr_strings.h>
#include <http_main.h>

#include "weave_file.h"

#define PAGE_BYTES 262144

/* Flaws of a file that can be read: no errno has these numbers, and they fit in
 * an exit status. */
enum { PAGE_GOOD, PAGE_NO_FILE = 201, PAGE_EMPTY, PAGE_NUL };

static int page_flaw(const weave_file_t *file)
{
    if (!file->bytes)
        return PAGE_EMPTY;
    return memchr(file->data, '\0', file->bytes) ? PAGE_NUL : PAGE_GOOD;
}

const char *mod_weave_page_read(const char *path, int *why, apr_pool_t *pool)
{
    weave_file_t file;
    apr_status_t rv = weave_file_read(&file, AT_FDCWD, path, PAGE_BYTES, pool);

    if (rv == WEAVE_FILE_OTHER || rv == WEAVE_FILE_LONG)
        *why = PAGE_NO_FILE;
    else
        *why = rv == APR_SUCCESS ? page_flaw(&file) : rv;
    return *why == PAGE_GOOD ? file.data : NULL;
}

const char *mod_weave_page_flaw(int why, apr_pool_t *pool)
{
    switch (why) {
    case PAGE_NO_FILE:
        return apr_psprintf(pool, "this is no file of at most %d KiB",
                            PAGE_BYTES / 1024);
    case PAGE_EMPTY:
        return "it is empty: without the key, the built-in page is shown";
    case PAGE_NUL:
        return "there is a NUL byte in it, as in UTF-16: save it as UTF-8";
    default:
        return strerror(why);
    }
}

static int page_try(const char *path, apr_pool_t *pool)
{
    int why = 0;

    mod_weave_page_read(path, &why, pool);
    return why;
}

const char *mod_weave_page_check(const weave_conf_t *conf, apr_pool_t *pool)
{
    const char *path = weave_conf_str(conf, WEAVE_MAINTENANCE_PAGE);
    int why = *path ? mod_weave_child_tries(page_try, path, pool) : 0;

    if (!why)
        return NULL;
    if (mod_weave_is_configtest())
        return apr_pstrcat(pool, path, ": ", mod_weave_page_flaw(why, pool),
                           NULL);
    /* nothing stops because of a page that has gone */
    ap_log_error(APLOG_MARK, APLOG_ERR, 0, ap_server_conf,
                 MOD_WEAVE_PAGE_FAILURE, path, mod_weave_page_flaw(why, pool));
    return NULL;
}
