/* SPDX-License-Identifier: Apache-2.0 */
/* ini.c: where the application finds its sync.ini */
#include "process.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <apr_strings.h>

#include "weave_conf.h"

static const char *flat_read(const char *path, apr_pool_t *pool)
{
    apr_array_header_t *problems = weave_problems_make(pool);
    weave_conf_t *conf = NULL;

    if (weave_conf_read(&conf, path, problems, pool) != APR_SUCCESS || !conf)
        return NULL;
    return weave_conf_flatten(path, conf, NULL, pool);
}

/* Keeps TEXT in memory that stays open, also in programs that the application
 * starts. Returns its path, or NULL. */
static const char *text_store(const char *text, apr_pool_t *pool)
{
    size_t len = strlen(text);
    int fd = memfd_create("sync.ini", MFD_ALLOW_SEALING);

    if (fd < 0)
        return NULL;
    if (write(fd, text, len) != (ssize_t)len || fchmod(fd, 0400) < 0 ||
        fcntl(fd, F_ADD_SEALS,
              F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL) < 0) {
        close(fd);
        return NULL;
    }
    return apr_psprintf(pool, "/proc/self/fd/%d", fd);
}

const char *ini_path(const weave_spec_t *spec, apr_pool_t *pool)
{
    apr_pool_t *scratch;
    const char *now, *path = NULL;

    if (apr_pool_create(&scratch, pool) != APR_SUCCESS)
        return spec->ini;
    apr_pool_tag(scratch, "weave_ini");
    now = flat_read(spec->ini, scratch);
    if (!now || strcmp(now, spec->ini_text) != 0)
        path = text_store(spec->ini_text, pool);
    apr_pool_destroy(scratch);
    return path ? path : spec->ini;
}
