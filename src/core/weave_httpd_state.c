/* SPDX-License-Identifier: Apache-2.0 */
/* weave_httpd_state.c: what httpd's configuration says, in a file */
#include "weave_httpd_state.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <apr_strings.h>

#include "weave_counters.h"
#include "weave_file.h"
#include "weave_folder.h"

#define FRESH WEAVE_HTTPD_STATE_FILE ".new"
#define BYTES_MOST (16 * 1024 * 1024)

/* Returns NULL, or what is wrong with STATE. */
static const char *state_check(const json_t *state)
{
    const char *format = json_string_value(json_object_get(state, "format"));
    const json_t *version = json_object_get(state, "version");

    if (!format || strcmp(format, WEAVE_HTTPD_STATE_FORMAT) != 0 ||
        !json_is_array(json_object_get(state, "applications")))
        return "is none of mod_weave's";
    if (json_integer_value(version) != WEAVE_HTTPD_STATE_VERSION)
        return "is of another version of mod_weave: use the weavectl of the"
               " version that httpd runs with";
    return NULL;
}

const char *weave_httpd_state_read(json_t **state, const char *dir,
                                   apr_pool_t *pool)
{
    const char *path = apr_pstrcat(pool, dir, "/" WEAVE_HTTPD_STATE_FILE, NULL);
    const char *wrong;
    json_error_t error;
    json_t *root;
    weave_file_t file;
    apr_status_t rv = weave_file_read(&file, AT_FDCWD, path, BYTES_MOST, pool);

    *state = NULL;
    if (APR_STATUS_IS_ENOENT(rv) || APR_STATUS_IS_ENOTDIR(rv))
        return NULL;
    if (rv != APR_SUCCESS)
        return apr_psprintf(pool, "%s: %s", path,
                            weave_file_error_text(rv, BYTES_MOST, pool));
    root = json_loadb(file.data, file.bytes, JSON_REJECT_DUPLICATES, &error);
    wrong = root ? state_check(root)
                 : apr_psprintf(pool, "is damaged: line %d: %s", error.line,
                                error.text);
    if (!wrong) {
        *state = root;
        return NULL;
    }
    json_decref(root);
    return apr_psprintf(pool, "%s %s", path, wrong);
}

/* Returns 0, or -1 and errno. */
static int state_replace(int folder, const char *text)
{
    int fd, error = 0;

    unlinkat(folder, FRESH, 0);
    fd = openat(folder, FRESH, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return -1;
    if (weave_file_write(fd, text, strlen(text)) < 0 ||
        renameat(folder, FRESH, folder, WEAVE_HTTPD_STATE_FILE) < 0)
        error = errno;
    close(fd);
    if (error)
        unlinkat(folder, FRESH, 0);
    errno = error;
    return error ? -1 : 0;
}

const char *weave_httpd_state_write(const json_t *state, const char *dir,
                                    apr_pool_t *pool)
{
    const char *problem = NULL;
    char *text = json_dumps(state, JSON_COMPACT | JSON_PRESERVE_ORDER);
    weave_folder_t folder;

    if (!text)
        return "there is no memory for what weavectl is to show";
    if (weave_folder_open(&folder, &problem, dir, geteuid(), 0, pool) ==
        APR_SUCCESS) {
        if (state_replace(folder.fd, text) < 0)
            problem = apr_psprintf(
                pool, "%s/" WEAVE_HTTPD_STATE_FILE " cannot be written: %s",
                dir, strerror(errno));
        close(folder.fd);
    }
    free(text);
    return problem;
}

void weave_httpd_state_remove(const char *dir, apr_pool_t *pool)
{
    const char *problem;
    weave_folder_t folder;

    if (weave_folder_open(&folder, &problem, dir, geteuid(), 0, pool) !=
        APR_SUCCESS)
        return;
    unlinkat(folder.fd, WEAVE_HTTPD_STATE_FILE, 0);
    unlinkat(folder.fd, WEAVE_COUNTERS_FILE, 0);
    close(folder.fd);
}
