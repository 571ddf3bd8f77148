/* SPDX-License-Identifier: Apache-2.0 */
/* retain.c: what is kept across restarts: the text of the last good sync.ini
 *
 * A file that went bad must not take down a running server, nor the
 * application, which reads the same file in the next generation of children.
 * So the parent keeps the text, flat (`extends`, `%(here)s` and `${NAME}`
 * resolved), and gives it to the children as a file of its own. It is plain
 * data: this module is unloaded at every restart. */
#include "mod_weave.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <ap_mpm.h>
#include <apr_strings.h>

#define RETAINED_KEY "mod_weave_retained"
#define RETAINED_VERSION 1

typedef struct {
    apr_uint32_t version;
    char *ini;  /* malloc: path */
    char *text; /* malloc */
} retained_t;

static retained_t *retained_get(void)
{
    retained_t *data = ap_retained_data_get(RETAINED_KEY);

    return data && data->version == RETAINED_VERSION ? data : NULL;
}

int mod_weave_is_running(void)
{
    int generation = 0;

    return ap_mpm_query(AP_MPMQ_GENERATION, &generation) == APR_SUCCESS &&
           generation > 0;
}

/* ---- keeping and giving back ---- */

void mod_weave_retain(const mod_weave_app_t *app)
{
    retained_t *data = retained_get();

    if (!app || !app->flat)
        return; /* nothing newer than what is kept */
    if (!data) {
        data = ap_retained_data_create(RETAINED_KEY, sizeof(*data));
        data->version = RETAINED_VERSION;
    }
    free(data->ini);
    free(data->text);
    data->ini = strdup(app->ini);
    data->text = strdup(app->flat);
}

const char *mod_weave_retained_ini(void)
{
    retained_t *data = retained_get();

    return data && data->text ? data->ini : NULL;
}

static apr_status_t close_text(void *fd)
{
    close((int)(intptr_t)fd);
    return APR_SUCCESS;
}

const char *mod_weave_retained_text(apr_pool_t *pconf)
{
    const char *text = retained_get()->text;
    apr_size_t len = strlen(text);
    int fd = memfd_create("sync.ini", MFD_CLOEXEC | MFD_ALLOW_SEALING);

    if (fd < 0)
        return NULL;
    apr_pool_cleanup_register(pconf, (void *)(intptr_t)fd, close_text,
                              apr_pool_cleanup_null);
    if (write(fd, text, len) != (ssize_t)len ||
        fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) < 0)
        return NULL;
    return apr_psprintf(pconf, "/proc/self/fd/%d", fd);
}
