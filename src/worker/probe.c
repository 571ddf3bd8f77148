/* SPDX-License-Identifier: Apache-2.0 */
/* probe.c: checks whether an engine can be loaded, runs the application's own
 * check of its sync.ini, and ends
 *
 * A library runs code when it is loaded, and that code belongs to whoever made
 * the virtualenv and its Python. So this process has the rights of the user
 * that the application runs as, and no others. */
#include "process.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include <apr_strings.h>

#include "weave_control.h"
#include "weave_host.h"

/* places in argv */
enum { ENGINE = 2, VERSION, LIBPYTHON, SONAME, CHECK, PYTHON, FILES };

/* The text of check.py; the Makefile makes it. */
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

/* Becomes the virtualenv's Python, which writes more lines. It does not import
 * the application, since that may open its databases. */
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
        spec.version = weave_host_text(argv[VERSION]);
        spec.libpython = weave_host_text(argv[LIBPYTHON]);
        spec.soname = weave_host_text(argv[SONAME]);
        problem = files_check(argc, argv, pool);
        if (!problem)
            problem = application_engine_load(&spec, pool);
    }
    probe_answer(problem ? problem : WEAVE_PROBE_GOOD);
    if (!problem && *argv[CHECK])
        check_become(argv, pool);
    /* skips what libraries do at the end of a process */
    _exit(0);
}
