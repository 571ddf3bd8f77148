/* SPDX-License-Identifier: Apache-2.0 */
/* probe.c: tries whether an engine can be loaded, and ends
 *
 * Libraries run code when they are loaded, and that code belongs to whoever
 * has made the virtualenv and its Python. This process has the rights of the
 * user that the application runs as, and nothing else. */
#include "worker.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include <apr_strings.h>

/* argv */
enum { ENGINE = 2, VERSION, LIBPYTHON, SONAME, FILES };

static const char *text_given(const char *text)
{
    return *text ? text : NULL;
}

static const char *files_check(int argc, char **argv, apr_pool_t *pool)
{
    int i;

    for (i = ENGINE; i < argc; i = i == ENGINE ? FILES : i + 1)
        if (*argv[i] && access(argv[i], R_OK) != 0)
            return apr_psprintf(pool,
                                "%s cannot be read: %s. Let the user that the"
                                " application runs as read the file and enter"
                                " the folders above it",
                                argv[i], strerror(errno));
    return NULL;
}

int probe_run(int argc, char **argv, apr_pool_t *pool)
{
    weave_spec_t spec = {.engine = ""};
    const char *problem = "it is started by httpd, not by hand";

    if (argc >= FILES) {
        spec.engine = argv[ENGINE];
        spec.version = text_given(argv[VERSION]);
        spec.libpython = text_given(argv[LIBPYTHON]);
        spec.soname = text_given(argv[SONAME]);
        problem = files_check(argc, argv, pool);
        if (!problem)
            problem = worker_engine_load(&spec, pool);
    }
    if (!problem)
        problem = WEAVE_PROBE_GOOD;
    /* libraries have functions for the end of a process: none is called */
    _exit(write(WEAVE_PROBE_ANSWER_FD, problem, strlen(problem)) < 0);
}
