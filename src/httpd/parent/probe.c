/* SPDX-License-Identifier: Apache-2.0 */
/* probe.c: tries at configtest whether an engine would load, and runs the
 * application's own check
 *
 * An engine loads the libpython that a virtualenv names, and both may belong to
 * whom the application runs as. So `weave-worker --probe` loads them: another
 * program, in a session of its own, with the rights of that user, without the
 * memory, the terminal and the descriptors of this process. Nothing is loaded
 * here, and what the program says is text of somebody with fewer rights. */
#include "parent.h"

#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <apr_strings.h>

#include "weave_environment.h"
#include "weave_exec.h"
#include "weave_utf8.h"

#define ANSWER_BYTES 65536
#define PROBLEM_BYTES 2048 /* of what is wrong with an engine */
#define PROBE_SECONDS 20
#define ORPHANS_US INT64_C(5000000) /* they may fork faster than we kill */

/* ---- in the forked process ---- */

typedef struct {
    const mod_weave_app_t *app;
    pid_t parent;
    int from[WEAVE_PROBE_FDS]; /* what becomes descriptor 0, 1, 2, ... */
    int count;                 /* of these; without a check, there is no ini */
    char **argv, **env;
} plan_t;

static void program_become(const plan_t *plan) __attribute__((noreturn));

static void program_become(const plan_t *plan)
{
    const mod_weave_app_t *app = plan->app;
    const char *failed;

    setsid();
    weave_exec_signals();
    if (weave_exec_descriptors(plan->from, plan->count) < 0)
        _exit(126);
    failed = weave_exec_user(app->user, app->uid, app->gid);
    if (failed)
        weave_exec_fail(WEAVE_PROBE_ANSWER_FD, failed, errno);
    /* after the user has changed, which resets it */
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != plan->parent ||
        prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || chdir("/") < 0)
        weave_exec_fail(WEAVE_PROBE_ANSWER_FD, "it cannot be confined", errno);
    execve(plan->argv[0], plan->argv, plan->env);
    weave_exec_fail(WEAVE_PROBE_ANSWER_FD,
                    "weave-worker cannot be executed by this user", errno);
}

/* ---- what the program is told ---- */

static const char *text_or_none(const char *text)
{
    return text ? text : "";
}

/* See weave_control.h. The home folder of a user is often closed to others;
 * workers are told what the ini says, children read it. */
static char **arguments_make(const mod_weave_app_t *app, const char *check,
                             apr_pool_t *pool)
{
    const weave_virtualenv_t *venv = app->venv;
    const char *const list[] = {
        apr_pstrcat(pool, mod_weave_libdir(pool), "/weave-worker", NULL),
        WEAVE_PROBE_OPTION,
        app->engine,
        venv ? venv->version : "",
        venv ? text_or_none(venv->libpython) : "",
        venv ? text_or_none(venv->soname) : "",
        check,
        venv ? venv->python : "",
        weave_conf_str(app->conf, WEAVE_WSGI_SCRIPT),
        app->embedded ? app->ini_now : "",
        NULL};

    return apr_pmemdup(pool, list, sizeof(list));
}

/* Returns the part of PATH, a script, below FOLDER; "": it is not there. */
static const char *path_below(const char *path, const char *folder)
{
    apr_size_t len = strlen(folder);

    return len && !strncmp(path, folder, len) && path[len] == '/'
               ? path + len + 1
               : "";
}

/* The name of an entry point: what wsgi.module or wsgi.script says, the latter
 * relative to the virtualenv. "": an application like that has none. */
static const char *check_name(const mod_weave_app_t *app)
{
    const char *module = weave_conf_str(app->conf, WEAVE_WSGI_MODULE);
    const char *script = weave_conf_str(app->conf, WEAVE_WSGI_SCRIPT);
    const char *name;

    if (!app->venv || !app->text_read)
        return "";
    if (*module)
        return module;
    name = path_below(script, weave_conf_str(app->conf, WEAVE_WSGI_VIRTUALENV));
    return *name ? name : path_below(script, app->venv->path);
}

static int variable_add(void *list, const char *name, const char *value)
{
    weave_exec_variable_add(list, name, value);
    return 1;
}

/* Makes the environment of the program. The first entry of a name counts, so
 * the variables of workers stand first. */
static char **probe_environment(const mod_weave_app_t *app, apr_pool_t *pool)
{
    apr_array_header_t *list = apr_array_make(pool, 8, sizeof(char *));

    if (!app->embedded) {
        apr_table_do(variable_add, list, weave_conf_env(app->conf), NULL);
        apr_table_do(variable_add, list,
                     weave_environment_passed(app->conf, environ, NULL, pool),
                     NULL);
    }
    weave_exec_variable_add(list, "PATH", "/usr/bin:/bin");
    weave_exec_variable_add(list, "LANG", "C.UTF-8");
    weave_exec_sanitizers_add(list);
    if (app->embedded) /* children have it when they load the same */
        weave_exec_variable_add(list, "LD_LIBRARY_PATH",
                                getenv("LD_LIBRARY_PATH"));
    APR_ARRAY_PUSH(list, const char *) = NULL;
    return (char **)list->elts;
}

/* ---- what the program answers ---- */

/* Takes what the application's own check says. 0: it has not begun. */
static int check_take(mod_weave_probe_t *own, const mod_weave_helper_t *helper,
                      apr_pool_t *pool)
{
    static const char begin[] = WEAVE_PROBE_GOOD "\n";

    if (helper->len < strlen(begin) ||
        memcmp(helper->answer, begin, strlen(begin)) != 0)
        return 0;
    own->rows = apr_pstrmemdup(pool, helper->answer + strlen(begin),
                               helper->len - strlen(begin));
    if (helper->len == helper->room)
        own->failed = "it says more than fits here";
    else if (helper->is_late)
        own->failed =
            apr_psprintf(pool, "it took more than %d s", PROBE_SECONDS);
    else if (helper->status)
        own->failed = apr_pstrcat(
            pool, "it ", mod_weave_helper_end(helper->status, pool), NULL);
    return 1;
}

/* Returns why the engine cannot be loaded, or NULL: it can. */
static const char *probe_explain(mod_weave_probe_t *own,
                                 const mod_weave_helper_t *helper,
                                 const mod_weave_app_t *app, apr_pool_t *pool)
{
    if (check_take(own, helper, pool))
        return NULL;
    if (helper->is_late)
        return apr_psprintf(pool,
                            "loading %s took more than %d s: try again"
                            " when the machine is less busy",
                            app->engine, PROBE_SECONDS);
    if (WIFSIGNALED(helper->status))
        return apr_psprintf(pool,
                            "loading %s %s: the file, or the libpython of its"
                            " Python, is damaged. Install it again with `make"
                            " install`",
                            app->engine,
                            mod_weave_helper_end(helper->status, pool));
    if (helper->len == strlen(WEAVE_PROBE_GOOD) &&
        !memcmp(helper->answer, WEAVE_PROBE_GOOD, helper->len))
        return NULL;
    if (helper->len) /* this may be anything */
        return weave_utf8_escape_text(apr_pstrmemdup(pool, helper->answer,
                                                     helper->len < PROBLEM_BYTES
                                                         ? helper->len
                                                         : PROBLEM_BYTES),
                                      pool);
    return apr_psprintf(pool, "loading %s %s and without an answer",
                        app->engine,
                        mod_weave_helper_end(helper->status, pool));
}

/* ---- both ---- */

/* Kills those of CHILDREN, numbers with a space behind each. */
static void children_kill(const char *children)
{
    char *end;
    long pid;

    while ((pid = strtol(children, &end, 10)) > 0 && *end == ' ') {
        kill((pid_t)pid, SIGKILL);
        children = end;
    }
}

/* Ends what the program has left behind in sessions of its own. All of that are
 * children of this process now, and it has no others: it is a reader's. */
static void orphans_end(void)
{
    int64_t until = weave_clock_us() + ORPHANS_US;
    char children[4096];
    ssize_t got;
    int fd;

    while (waitpid(-1, NULL, WNOHANG) >= 0 && weave_clock_us() < until) {
        fd = open("/proc/thread-self/children", O_RDONLY | O_CLOEXEC);
        if (fd < 0)
            return; /* a kernel without it: they go on with their few rights */
        got = read(fd, children, sizeof(children) - 1);
        close(fd);
        children[got > 0 ? got : 0] = '\0';
        children_kill(children);
        poll(NULL, 0, 1);
    }
}

/* Starts the program. NULL, or why that cannot be. */
static const char *program_start(mod_weave_helper_t *helper,
                                 const mod_weave_app_t *app, apr_pool_t *pool)
{
    const char *check = check_name(app), *problem = NULL;
    plan_t plan = {.app = app,
                   .parent = getpid(),
                   .count = *check ? WEAVE_PROBE_FDS : WEAVE_PROBE_INI_FD};
    int null = open("/dev/null", O_RDWR | O_CLOEXEC), fds[2] = {-1, -1};
    int ini = *check ? mod_weave_hidden_show("sync.ini", app->text_read,
                                             strlen(app->text_read), app->uid)
                     : null;

    plan.argv = arguments_make(app, check, pool);
    plan.env = probe_environment(app, pool);
    if (null >= 0 && ini >= 0 && pipe2(fds, O_CLOEXEC) == 0) {
        plan.from[0] = plan.from[1] = plan.from[2] = null;
        plan.from[WEAVE_PROBE_ANSWER_FD] = fds[1];
        plan.from[WEAVE_PROBE_INI_FD] = ini;
        helper->fd = fds[0];
        helper->pid = fork();
        if (helper->pid == 0)
            program_become(&plan);
    }
    if (helper->pid <= 0)
        problem = strerror(errno);
    close(null);
    if (ini != null)
        close(ini);
    close(fds[1]);
    return problem;
}

const char *mod_weave_probe(mod_weave_probe_t *own, const mod_weave_app_t *app,
                            apr_pool_t *pool)
{
    mod_weave_helper_t helper = {.answer = apr_palloc(pool, ANSWER_BYTES),
                                 .room = ANSWER_BYTES,
                                 .fd = -1};
    const char *problem;

    prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
    problem = program_start(&helper, app, pool);
    if (!problem) {
        mod_weave_helper_wait(&helper, PROBE_SECONDS * 1000);
        orphans_end();
        problem = probe_explain(own, &helper, app, pool);
    }
    if (helper.fd >= 0)
        close(helper.fd);
    return problem ? apr_psprintf(pool, "%s, tried %s%s for %s: %s",
                                  app->engine, *app->user ? "as the user " : "",
                                  app->user, app->ini, problem)
                   : NULL;
}

static int is_libpython(struct dl_phdr_info *info, size_t size, void *found)
{
    const char *slash = info->dlpi_name ? strrchr(info->dlpi_name, '/') : NULL;

    (void)size;
    if (!slash || strncmp(slash, "/libpython", 10) != 0)
        return 0;
    *(const char **)found = info->dlpi_name;
    return 1;
}

const char *mod_weave_libpython_loaded(apr_pool_t *pool)
{
    const char *found = NULL;

    dl_iterate_phdr(is_libpython, &found);
    return found ? apr_pstrdup(pool, found) : NULL;
}
