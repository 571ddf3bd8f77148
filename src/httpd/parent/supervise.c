/* SPDX-License-Identifier: Apache-2.0 */
/* supervise.c: weaved, seen from the httpd parent
 *
 * The parent starts it, tells it at every restart what is wanted, starts
 * another when it dies or answers nothing, and tells it when httpd ends.
 * Nothing here waits for Python, nor, but for its start and its end, for
 * weaved. */
#include "parent.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <apr_portable.h>
#include <apr_strings.h>

/* for its answers, at the first start alone: its exit status must tell */
#define FIRST_MS 10000
#define SILENCE_S 30
#define STOP_MS 5000
#define STEADY_S 10 /* one that lived so long does not keep dying */
#define AT_ONCE 3   /* deaths in a row that are answered at once */
#define PAUSE_MOST_S 60

/* ---- asking it ---- */

static const char *log_pass(mod_weave_retained_t *data, const server_rec *s,
                            apr_pool_t *pool)
{
    apr_os_file_t fd;

    if (!s->error_log || apr_os_file_get(&fd, s->error_log) != APR_SUCCESS)
        return NULL;
    return mod_weave_weaved_ask(data, "log", fd, pool);
}

/* Tells weaved what it must know. Waits TIMEOUT_MS at most for the answers, and
 * not at all where it owes others. Returns NULL, or what is wrong. */
static const char *weaved_tell(mod_weave_retained_t *data, const server_rec *s,
                               int timeout_ms, apr_pool_t *pool)
{
    const char *problem, *more;

    if (mod_weave_weaved_silence(data))
        timeout_ms = 0;
    data->unsent = 0;
    problem = log_pass(data, s, pool);
    if (!problem)
        problem = mod_weave_weaved_want(data, pool);
    more = mod_weave_weaved_hear(data, timeout_ms, pool);
    return problem ? problem : more;
}

static void problem_report(server_rec *s, const char *problem)
{
    ap_log_error(APLOG_MARK, APLOG_ERR, 0, s, "WEAVE0130: %s", problem);
}

/* ---- its life ---- */

static const char *roster_share(mod_weave_retained_t *data, apr_pool_t *pool)
{
    apr_status_t rv;
    weave_roster_t *writable, *roster = NULL;
    int made, fd = -1;

    if (data->roster)
        return NULL;
    if (data->lifeline[0] < 0 && pipe2(data->lifeline, O_CLOEXEC) != 0)
        return apr_psprintf(pool, "pipe: %s", strerror(errno));
    rv = weave_roster_create(&made, &writable);
    if (rv == APR_SUCCESS) {
        weave_roster_unmap(writable);
        rv = weave_memory_reopen(&fd, made, 0);
        close(made);
    }
    if (rv == APR_SUCCESS)
        rv = weave_roster_map(&roster, fd, 0);
    if (roster)
        data->roster_fd = fd;
    else if (fd >= 0)
        close(fd);
    data->roster = roster;
    data->owner = getpid();
    return rv == APR_SUCCESS
               ? NULL
               : apr_psprintf(pool,
                              "no memory can be shared with worker processes:"
                              " error %d",
                              rv);
}

static void weaved_died(int reason, void *s, int status);

/* Watches weaved as long as this pconf lives: restarts make another one. */
static void weaved_watch(mod_weave_retained_t *data, server_rec *s)
{
    apr_proc_t *proc = apr_pcalloc(s->process->pconf, sizeof(*proc));

    proc->pid = data->supervisor;
    apr_proc_other_child_register(proc, weaved_died, s, NULL,
                                  s->process->pconf);
}

static void weaved_start_end(mod_weave_retained_t *data)
{
    kill(data->supervisor, SIGKILL);
    waitpid(data->supervisor, NULL, 0);
    data->supervisor = 0;
}

/* Waits for it only where FIRST: a start that fails must fail httpd's. Later
 * the requests lie in its channel until it reads them. */
static const char *weaved_start(server_rec *s, int first, apr_pool_t *pool)
{
    mod_weave_retained_t *data = mod_weave_retained_get();
    mod_weave_launched_t launched;
    const char *problem;

    mod_weave_weaved_close(data);
    problem = mod_weave_launch(&launched, s, data, pool);
    if (problem)
        return problem;
    data->supervisor = launched.pid;
    data->started = weave_clock_us();
    if (mod_weave_weaved_open(data, &launched) != 0)
        problem = "there is no memory for a connection to weaved";
    else if (first)
        problem =
            mod_weave_launch_answer(data->ready, MOD_WEAVE_READY_MS, pool);
    if (problem)
        weaved_start_end(data);
    else
        weaved_watch(data, s);
    return problem;
}

/* Returns how long to wait before another weaved is tried. */
static int64_t pause_choose(mod_weave_retained_t *data)
{
    int i, seconds = 1;

    if (weave_clock_us() - data->started > apr_time_from_sec(STEADY_S))
        data->failures = 0;
    for (i = AT_ONCE; i < data->failures && seconds < PAUSE_MOST_S; i++)
        seconds *= 2;
    return data->failures++ < AT_ONCE ? 0 : apr_time_from_sec(seconds);
}

static void weaved_restart(server_rec *s)
{
    mod_weave_retained_t *data = mod_weave_retained_get();
    const char *problem;
    apr_pool_t *pool;

    apr_pool_create(&pool, s->process->pconf);
    apr_pool_tag(pool, "weave_supervise");
    problem = weaved_start(s, 0, pool);
    if (!problem)
        problem = weaved_tell(data, s, 0, pool);
    if (problem)
        problem_report(s, problem);
    else
        ap_log_error(APLOG_MARK, APLOG_NOTICE, 0, s,
                     "WEAVE0132: a new weaved (pid %d) is started and takes"
                     " over the workers",
                     (int)data->supervisor);
    apr_pool_destroy(pool);
}

static const char *end_explain(int status, apr_pool_t *pool)
{
    if (WIFSIGNALED(status))
        return apr_psprintf(pool, "was killed by signal %d (%s)",
                            WTERMSIG(status), strsignal(WTERMSIG(status)));
    return apr_psprintf(pool, "ended with exit status %d", WEXITSTATUS(status));
}

/* Starts another weaved. Also called when we stop watching: only a death
 * counts. */
static void weaved_died(int reason, void *s_, int status)
{
    mod_weave_retained_t *data = mod_weave_retained_get();
    server_rec *s = s_;
    int64_t pause;
    const char *why;

    if (reason != APR_OC_REASON_DEATH && reason != APR_OC_REASON_LOST)
        return;
    ap_log_error(APLOG_MARK, APLOG_ERR, 0, s,
                 "WEAVE0131: weaved (pid %d) %s; the workers go on, and another"
                 " one is started",
                 (int)data->supervisor, end_explain(status, s->process->pconf));
    why = mod_weave_launch_answer(data->ready, 0, s->process->pconf);
    if (why)
        problem_report(s, why);
    data->supervisor = 0;
    pause = pause_choose(data);
    data->next_try = weave_clock_us() + pause;
    if (!pause)
        weaved_restart(s);
}

static int is_needed(const mod_weave_retained_t *data)
{
    int i;

    for (i = 0; data && i < WEAVE_ROSTER_APPS; i++)
        if (data->apps[i].wanted)
            return 1;
    return 0;
}

/* Kills a weaved that answers nothing for so long: it has been stopped, or
 * hangs. Its death is met as any other. */
static void weaved_replace(mod_weave_retained_t *data, server_rec *s)
{
    ap_log_error(APLOG_MARK, APLOG_ERR, 0, s,
                 "WEAVE0173: weaved (pid %d) has answered nothing for %d s: it"
                 " is killed",
                 (int)data->supervisor, SILENCE_S);
    kill(data->supervisor, SIGKILL); /* our child: nobody else has its pid */
}

/* Reads what weaved has answered since, and asks it something, so that there is
 * an answer to wait for the next time. */
static void weaved_listen(mod_weave_retained_t *data, server_rec *s,
                          apr_pool_t *pool)
{
    const char *problem = mod_weave_weaved_hear(data, 0, pool);

    if (mod_weave_weaved_silence(data) >= apr_time_from_sec(SILENCE_S))
        weaved_replace(data, s);
    else if (!problem && data->unsent)
        problem = weaved_tell(data, s, 0, pool);
    else if (!problem && !mod_weave_weaved_silence(data))
        problem = mod_weave_weaved_ask(data, "ping", -1, pool);
    if (problem)
        problem_report(s, problem);
}

/* Looks after a weaved that keeps dying, or is silent, and at what weavectl
 * says. The MPM calls this every few seconds. */
int mod_weave_supervise_monitor(apr_pool_t *pool, server_rec *s)
{
    mod_weave_retained_t *data = mod_weave_retained_get();

    if (!data)
        return DECLINED;
    if (data->supervisor) {
        weaved_listen(data, s, pool);
    }
    else if (is_needed(data) && weave_clock_us() >= data->next_try) {
        data->next_try = weave_clock_us() + pause_choose(data);
        weaved_restart(s);
    }
    mod_weave_known_learn(&data->known);
    return DECLINED;
}

/* ---- httpd's end ---- */

static int is_weaved_gone(mod_weave_retained_t *data)
{
    return waitpid(data->supervisor, NULL, WNOHANG) != 0;
}

/* Ends weaved with httpd. Also called when pconf is cleared for a restart: then
 * it does nothing. */
static apr_status_t weaved_stop(void *unused)
{
    mod_weave_retained_t *data = mod_weave_retained_get();
    int64_t until = weave_clock_us() + STOP_MS * APR_TIME_C(1000);
    char line[64];
    int len;

    (void)unused;
    if (!data || !data->supervisor || data->owner != getpid() ||
        ap_state_query(AP_SQ_MAIN_STATE) != AP_SQ_MS_EXITING)
        return APR_SUCCESS;
    len = apr_snprintf(line, sizeof(line), "{\"op\":\"stop\",\"version\":%d}\n",
                       WEAVE_CONTROL_VERSION);
    if (data->control)
        weave_fd_send(data->control->fd, line, (size_t)len, -1, MSG_DONTWAIT);
    while (!is_weaved_gone(data) && weave_clock_us() < until)
        apr_sleep(5000);
    if (!is_weaved_gone(data)) {
        kill(data->supervisor, SIGKILL); /* its workers know the end of httpd */
        waitpid(data->supervisor, NULL, 0);
    }
    data->supervisor = 0;
    return APR_SUCCESS;
}

/* ---- every start and restart ---- */

static void wanted_set(mod_weave_retained_t *data,
                       const apr_array_header_t *apps)
{
    int i;

    for (i = 0; i < WEAVE_ROSTER_APPS; i++)
        data->apps[i].wanted = 0;
    for (i = 0; i < apps->nelts; i++) {
        const mod_weave_app_t *app = APR_ARRAY_IDX(apps, i, mod_weave_app_t *);

        if (!app->embedded && app->slot >= 0)
            data->apps[app->slot].wanted = 1;
    }
}

/* A weaved that runs stays in its folder. */
static void folder_choose(mod_weave_retained_t *data)
{
    const char *dir = mod_weave_runtime_used(data);

    if (data->supervisor)
        return;
    free(data->runtime_dir);
    data->runtime_dir = strdup(dir);
}

/* Returns NULL, or why APPS cannot run. */
static const char *weaved_supervise(apr_pool_t *pconf, server_rec *s,
                                    const apr_array_header_t *apps, int running)
{
    mod_weave_retained_t *data = mod_weave_retained_get();
    const char *problem;

    if (!data)
        return "httpd runs with another version of mod_weave: stop it and"
               " start it again";
    wanted_set(data, apps);
    if (!is_needed(data) && !data->supervisor)
        return NULL;
    problem = roster_share(data, pconf);
    if (problem)
        return problem;
    folder_choose(data);
    apr_pool_cleanup_register(pconf, NULL, weaved_stop, apr_pool_cleanup_null);
    if (data->supervisor && is_weaved_gone(data))
        data->supervisor = 0;
    if (data->supervisor)
        weaved_watch(data, s);
    else
        problem = weaved_start(s, !running, pconf);
    if (!problem)
        problem = weaved_tell(data, s, running ? 0 : FIRST_MS, pconf);
    if (!problem && !running && mod_weave_weaved_silence(data))
        problem = "httpd's own weaved does not answer";
    return problem;
}

int mod_weave_supervise(apr_pool_t *pconf, server_rec *s,
                        const apr_array_header_t *apps, int running)
{
    const char *problem = weaved_supervise(pconf, s, apps, running);

    if (problem)
        problem_report(s, problem);
    return problem ? -1 : 0;
}

/* A child has the secrets of all applications, and workers may run as the same
 * user: they must not read its memory. Where one user has started all of it, he
 * may look into each of his processes anyway, and weavectl does. */
static void child_protect(const mod_weave_retained_t *data)
{
    if (data->starter != geteuid() && !ap_coredumpdir_configured)
        prctl(PR_SET_DUMPABLE, 0);
}

void mod_weave_supervise_child(apr_pool_t *pchild, server_rec *s)
{
    mod_weave_retained_t *data = mod_weave_retained_get();

    (void)pchild;
    (void)s;
    if (data && data->roster)
        child_protect(data);
    if (!data || data->owner == getpid()) /* with -X, it is the parent */
        return;
    if (data->counters_fd >= 0)
        close(data->counters_fd);
    if (!data->roster)
        return;
    close(data->lifeline[0]);
    close(data->roster_fd);
    mod_weave_weaved_close(data);
}
