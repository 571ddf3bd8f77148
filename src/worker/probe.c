/* SPDX-License-Identifier: Apache-2.0 */
/* probe.c: tries whether an engine can be loaded, has the application's own
 * check look at the sync.ini, and ends
 *
 * Libraries run code when they are loaded, and that code belongs to whoever
 * has made the virtualenv and its Python. This process has the rights of the
 * user that the application runs as, and nothing else. */
#include "application.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include <apr_strings.h>

#include "weave_control.h"

/* argv */
enum { ENGINE = 2, VERSION, LIBPYTHON, SONAME, CHECK, PYTHON, FILES };

/* The text of check.py, made by the Makefile. */
extern const char worker_check_py[];

static const char *files_check(int argc, char **argv, apr_pool_t *pool)
{
    int i;

    for (i = ENGINE; i < argc; i = i == ENGINE ? PYTHON : i + 1)
        if (*argv[i] && access(argv[i], R_OK) != 0)
            return apr_psprintf(pool,
                                "%s cannot be read: %s. Let the user that the"
                                " application runs as read the file and enter"
                                " the folders above it",
                                argv[i], strerror(errno));
    return NULL;
}

static void probe_answer(const char *text)
{
    if (write(WEAVE_PROBE_ANSWER_FD, text, strlen(text)) < 0)
        _exit(1);
}

/* Becomes the virtualenv's Python, which answers with more lines. The
 * application is not imported: that may open its databases. */
static void check_become(char **argv, apr_pool_t *pool)
{
    char *program[] = {argv[PYTHON], "-I", "-B", "-c", (char *)worker_check_py,
                       argv[CHECK],  NULL};

    probe_answer("\n");
    execv(program[0], program);
    probe_answer(apr_pstrcat(pool, "failed 0 ", argv[PYTHON],
                             " cannot be executed: ", strerror(errno), NULL));
}

int probe_run(int argc, char **argv, apr_pool_t *pool)
{
    weave_spec_t spec = {.engine = ""};
    const char *problem = "it is started by httpd, not by hand";

    if (argc >= FILES) {
        spec.engine = argv[ENGINE];
        spec.version = text_or_null(argv[VERSION]);
        spec.libpython = text_or_null(argv[LIBPYTHON]);
        spec.soname = text_or_null(argv[SONAME]);
        problem = files_check(argc, argv, pool);
        if (!problem)
            problem = application_engine_load(&spec, pool);
    }
    probe_answer(problem ? problem : WEAVE_PROBE_GOOD);
    if (!problem && *argv[CHECK])
        check_become(argv, pool);
    /* libraries have functions for the end of a process: none is called */
    _exit(0);
}
