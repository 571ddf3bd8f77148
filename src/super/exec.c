/* SPDX-License-Identifier: Apache-2.0 */
/* exec.c: from weaved to weave-worker
 *
 * A pipe that exec closes tells what fails between fork and exec, and why. The
 * event loop reads it. */
#include "worker.h"

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <apr_strings.h>

#include "weave_exec.h"

#define PATH_DEFAULT                                                           \
    "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

/* Behind the descriptors of the worker comes the report pipe, which exec
 * closes. */
enum { REPORT_FD = WEAVE_WORKER_FDS, DESCRIPTORS };
_Static_assert(DESCRIPTORS <= WEAVE_EXEC_DESCRIPTORS, "there is room for them");

static int report_to;

static void descriptors_set(const super_exec_t *exec)
{
    const int from[DESCRIPTORS] = {
        [0] = 0, /* /dev/null, as weaved has it */
        [1] = exec->log.write_fd,
        [2] = exec->log.write_fd,
        [WEAVE_WORKER_LISTEN_FD] = exec->listen_fd,
        [WEAVE_WORKER_CONTROL_FD] = exec->control_fd,
        [WEAVE_WORKER_LIFELINE_FD] = WEAVE_SUPER_LIFELINE_FD,
        [WEAVE_WORKER_BOARD_FD] = exec->board_fd,
        [WEAVE_WORKER_LOG_FD] = exec->log.read_fd,
        [WEAVE_WORKER_SAY_FD] = exec->log.say_fd,
        [REPORT_FD] = report_to,
    };

    if (weave_exec_descriptors(from, DESCRIPTORS) < 0)
        weave_exec_fail(report_to, "its descriptors cannot be set", errno);
    report_to = REPORT_FD;
    fcntl(report_to, F_SETFD, FD_CLOEXEC);
}

static void user_set(const weave_spec_t *spec)
{
    gid_t gid = (gid_t)spec->gid;
    const char *failed;

    if (geteuid() != 0)
        return;
    if (spec->uid <= 0)
        weave_exec_fail(report_to,
                        "workers never run as root: name an ordinary user with"
                        " workers.user",
                        0);
    if (spec->gid < 0) {
        const struct passwd *entry = getpwuid((uid_t)spec->uid);

        if (!entry)
            weave_exec_fail(report_to,
                            "its user has no group: set workers.group", 0);
        gid = entry->pw_gid;
    }
    failed = weave_exec_user(spec->user, (uid_t)spec->uid, gid);
    if (failed)
        weave_exec_fail(report_to, failed, errno);
}

static char **environment_make(const weave_spec_t *spec, apr_pool_t *pool)
{
    apr_array_header_t *list = apr_array_make(pool, 32, sizeof(char *));
    const struct passwd *entry = getpwuid(getuid());
    const apr_array_header_t *own = apr_table_elts(weave_spec_env(spec, pool));
    int i;

    const char *const base[][2] = {
        {"PATH", PATH_DEFAULT},
        {"LANG", "C.UTF-8"},
        {"HOME",
         entry ? entry->pw_dir : weave_spec_str(spec, WEAVE_WORKERS_HOME)},
        {"USER", entry ? entry->pw_name : NULL},
        {"LOGNAME", entry ? entry->pw_name : NULL},
        {"WEAVE_INI", spec->ini},
        {"TMPDIR", getenv("TMPDIR")},
    };

    /* getenv() takes the first of a name: the ini comes first */
    for (i = 0; i < own->nelts; i++) {
        const apr_table_entry_t *row =
            &APR_ARRAY_IDX(own, i, apr_table_entry_t);

        weave_exec_variable_add(list, row->key, row->val);
    }
    for (i = 0; i < (int)(sizeof(base) / sizeof(*base)); i++)
        weave_exec_variable_add(list, base[i][0], base[i][1]);
    weave_exec_sanitizers_add(list);
    APR_ARRAY_PUSH(list, char *) = NULL;
    return (char **)list->elts;
}

static void worker_become(const super_worker_t *worker,
                          const super_exec_t *exec)
{
    const weave_spec_t *spec = worker->generation->spec;
    apr_pool_t *pool = super.pool; /* this process ends soon, or execs */
    char *program = apr_pstrcat(pool, spec->libdir, "/weave-worker", NULL);
    char *arguments[] = {"weave-worker", (char *)spec->name,
                         apr_psprintf(pool, "%u", worker->generation->number),
                         NULL};
    const char *home = weave_spec_str(spec, WEAVE_WORKERS_HOME);
    apr_int64_t mask = weave_spec_int(spec, WEAVE_WORKERS_UMASK);
    char **variables;

    descriptors_set(exec);
    weave_exec_signals();
    if (super.descriptors.rlim_cur)
        setrlimit(RLIMIT_NOFILE, &super.descriptors);
    user_set(spec);
    if (mask >= 0)
        umask((mode_t)mask);
    variables = environment_make(spec, pool);
    if (chdir(*home ? home : "/") < 0)
        weave_exec_fail(
            report_to,
            apr_psprintf(
                pool, "workers.home, %s, cannot be entered by its user", home),
            errno);
    execve(program, arguments, variables);
    weave_exec_fail(report_to,
                    apr_psprintf(pool, "%s cannot be run by its user", program),
                    errno);
}

apr_status_t super_exec_worker(super_worker_t *worker, const super_exec_t *exec)
{
    int report[2];
    apr_status_t rv;

    if (pipe2(report, O_CLOEXEC | O_NONBLOCK) < 0)
        return errno;
    worker->pid = fork();
    rv = worker->pid < 0 ? errno : APR_SUCCESS;
    if (worker->pid == 0) {
        report_to = report[1];
        worker_become(worker, exec);
    }
    close(report[1]);
    worker->report_fd = report[0]; /* closed with the worker */
    return rv;
}
