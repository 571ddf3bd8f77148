/* SPDX-License-Identifier: Apache-2.0 */
/* prove.c: weavectl prove: a release comes up, without an httpd
 *
 * The broker of weavectl install runs it where no weaved can try the release. A
 * weaved of its own starts one worker, as it would for httpd, in a folder of
 * its own; and all of that ends with this process, by the lifeline. */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <apr_strings.h>

#include "ini.h"
#include "say.h"
#include "weave_board.h"
#include "weave_clock.h"
#include "weave_control.h"
#include "weave_environment.h"
#include "weave_exec.h"
#include "weave_file.h"
#include "weave_line.h"
#include "weave_secret.h"
#include "weave_spec.h"

#define ANSWER_MS 10000
#define POLL_MS 50
#define END_US INT64_C(10000000)    /* what weaved may take to end */
#define BESIDE_US INT64_C(30000000) /* and to start, beside startup_timeout */

static volatile sig_atomic_t is_ending;

typedef struct prover_t {
    const ctl_t *ctl;
    char *dir; /* NULL: not made */
    pid_t pid; /* of weaved; 0: none */
    int lifeline, ready;
    weave_control_t control;
} prover_t;

/* ---- the spec ---- */

/* Sets who the worker runs as. Returns NULL, or what is wrong. */
static const char *user_fill(weave_spec_t *spec, const ctl_t *ctl)
{
    const struct passwd *user = ctl->user ? getpwnam(ctl->user) : NULL;
    const struct group *group = ctl->group ? getgrnam(ctl->group) : NULL;

    spec->user = "";
    spec->uid = spec->gid = spec->socket_gid = -1;
    if (geteuid() != 0)
        return NULL;
    if (!user || user->pw_uid == 0 || (ctl->group && !group))
        return "--user must name an ordinary user of this system, and --group"
               " a group";
    spec->user = apr_pstrdup(ctl->pool, ctl->user);
    spec->uid = user->pw_uid;
    spec->gid = group ? group->gr_gid : user->pw_gid;
    return NULL;
}

/* Returns the application as weaved is told of it, with the link `current` of
 * its home as if that led to the release; or NULL and *problem. */
static const char *spec_make(const char **problem, const ctl_t *ctl,
                             const char *ini, weave_conf_t *conf)
{
    apr_pool_t *pool = ctl->pool;
    char *real = realpath(ini, NULL);
    const weave_link_t link = {
        apr_pstrcat(pool, weave_conf_str(conf, WEAVE_RELEASE_HOME), "/current",
                    NULL),
        ctl->release};
    const weave_conf_t *now;
    const char *text;
    weave_spec_t spec = {
        .name = ini,
        .ini = real ? apr_pstrdup(pool, real) : ini,
        .ini_hash = weave_conf_hash(conf),
        .libdir = ctl->libdir,
        .software = "Apache",
        .passed = weave_environment_passed(conf, environ, NULL, pool),
        .log_level = WEAVE_LINE_INFO,
    };

    free(real);
    weave_conf_set(conf, "workers.processes", "1", 0, "weavectl", 0, pool);
    now = weave_conf_follow(conf, &link, 1, pool);
    spec.ini_text = weave_conf_flatten(spec.ini, conf, NULL, pool);
    spec.keys =
        weave_conf_text(now, WEAVE_CONF_PROCESS, weave_conf_environ(now), pool);
    *problem = user_fill(&spec, ctl);
    if (*problem)
        return NULL;
    text = spec.ini_text ? weave_spec_format(&spec, pool) : NULL;
    *problem = text ? NULL : "the sync.ini cannot be read, or is no UTF-8";
    return text;
}

/* ---- weaved ---- */

static void end_note(int number)
{
    (void)number;
    is_ending = 1;
}

static void weaved_become(const char *const *argv, const int *from)
{
    weave_exec_signals();
    setsid();
    if (weave_exec_descriptors(from, WEAVE_SUPER_FDS) == 0)
        execv(argv[0], (char *const *)argv);
    _exit(127);
}

/* Starts weaved. Returns NULL, or what is wrong. */
static const char *weaved_start(prover_t *prover)
{
    apr_pool_t *pool = prover->ctl->pool;
    const char *argv[] = {
        apr_pstrcat(pool, prover->ctl->libdir, "/weaved", NULL), prover->dir,
        NULL};
    int life[2] = {-1, -1}, ready[2] = {-1, -1}, pair[2] = {-1, -1};
    int null = open("/dev/null", O_RDWR | O_CLOEXEC), made = -1, roster = -1;
    weave_roster_t *mapped;

    if (null < 0 || pipe2(life, O_CLOEXEC) < 0 || pipe2(ready, O_CLOEXEC) < 0 ||
        socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0 ||
        weave_roster_create(&made, &mapped) != APR_SUCCESS ||
        weave_memory_reopen(&roster, made, 1) != APR_SUCCESS)
        return strerror(errno);
    prover->pid = fork();
    if (prover->pid == 0) {
        const int from[WEAVE_SUPER_FDS] = {null,   2,        2,      life[0],
                                           roster, ready[1], pair[1]};

        weaved_become(argv, from);
    }
    close(null);
    close(life[0]);
    close(ready[1]);
    close(pair[1]);
    close(made);
    close(roster);
    prover->lifeline = life[1];
    prover->ready = ready[0];
    prover->control.fd = pair[0];
    return prover->pid < 0 ? strerror(errno) : NULL;
}

/* Waits until weaved takes requests. Returns NULL, or what is wrong. */
static const char *weaved_await(const prover_t *prover)
{
    int64_t until = weave_clock_us() + BESIDE_US;
    char text[1024];
    size_t len = 0;
    ssize_t got = 1;

    while (got > 0 && len < sizeof(text) - 1) {
        struct pollfd wait = {prover->ready, POLLIN, 0};

        if (is_ending || poll(&wait, 1, weave_clock_left_ms(until)) <= 0)
            return "weaved does not get ready";
        got = read(prover->ready, text + len, sizeof(text) - 1 - len);
        len += got > 0 ? (size_t)got : 0;
    }
    while (len && text[len - 1] == '\n')
        len--;
    return len ? apr_pstrmemdup(prover->ctl->pool, text, len) : NULL;
}

/* Sends REQUEST, which it takes, with PASS. Returns NULL and *answer, or what
 * is wrong. */
static const char *weaved_ask(json_t **answer, prover_t *prover,
                              json_t *request, int pass)
{
    const char *problem = NULL;
    apr_status_t rv;
    int none = -1;

    *answer = NULL;
    json_object_set_new(request, "version",
                        json_integer(WEAVE_CONTROL_VERSION));
    rv = weave_control_send(prover->control.fd, request, pass, ANSWER_MS);
    json_decref(request);
    if (rv == APR_SUCCESS)
        rv = weave_control_receive(&prover->control, answer, &none, ANSWER_MS);
    if (rv != APR_SUCCESS)
        problem = "weaved has ended, or does not answer";
    else if (!ctl_is_true(*answer, "ok"))
        problem = apr_pstrdup(prover->ctl->pool, ctl_text(*answer, "error"));
    return problem;
}

/* Has weaved start the application of SPEC. Returns NULL, or why it does not.
 */
static const char *spec_want(prover_t *prover, const char *spec)
{
    char hex[WEAVE_SECRET_TEXT];
    weave_secret_t secret;
    const char *text, *problem = "there is no memory for the application";
    json_t *answer = NULL;
    int fd = memfd_create("weave-prove", MFD_CLOEXEC);

    if (weave_secret_make(&secret) != APR_SUCCESS)
        return "there are no random numbers";
    weave_secret_format(hex, &secret);
    text = apr_psprintf(prover->ctl->pool,
                        "{\"apps\":[%s],\"secrets\":[{\"app\":0,\"secret\":"
                        "\"%s\"}],\"cores\":false}",
                        spec, hex);
    if (fd >= 0 && weave_file_write(fd, text, strlen(text)) == 0)
        problem =
            weaved_ask(&answer, prover, json_pack("{s:s}", "op", "want"), fd);
    json_decref(answer);
    if (fd >= 0)
        close(fd);
    return problem;
}

static json_t *app_get(const json_t *answer)
{
    const json_t *status = json_object_get(answer, "status");

    return json_array_get(json_object_get(status, "applications"), 0);
}

/* Waits until the application serves or has failed, UNTIL_US at most. Returns
 * NULL and *generation, or why it does not come up. */
static const char *app_await(json_t **generation, prover_t *prover,
                             int64_t until_us)
{
    while (weave_clock_us() < until_us && !is_ending) {
        json_t *answer;
        const char *problem =
            weaved_ask(&answer, prover, json_pack("{s:s}", "op", "status"), -1);
        const json_t *app = app_get(answer);

        if (!problem && *ctl_text(app, "last_error"))
            problem =
                apr_pstrdup(prover->ctl->pool, ctl_text(app, "last_error"));
        if (!problem && !strcmp(ctl_text(app, "state"), "serving"))
            *generation = json_incref(
                json_array_get(json_object_get(app, "generations"), 0));
        json_decref(answer);
        if (problem || *generation)
            return problem;
        poll(NULL, 0, POLL_MS);
    }
    return is_ending ? "it was interrupted" : "it does not come up in time";
}

/* Ends weaved, and with it the worker. */
static void prover_end(prover_t *prover)
{
    int64_t until = weave_clock_us() + END_US;

    if (prover->pid > 0) {
        close(prover->lifeline);
        close(prover->ready);
        while (waitpid(prover->pid, NULL, WNOHANG) == 0) {
            if (weave_clock_us() > until)
                kill(prover->pid, SIGKILL);
            poll(NULL, 0, 20);
        }
        weave_control_close(&prover->control);
    }
    if (prover->dir)
        rmdir(prover->dir);
}

/* ---- the command ---- */

static const char *release_prove(json_t **generation, prover_t *prover,
                                 const char *spec, int64_t timeout_us)
{
    const char *problem;

    prover->dir = mkdtemp(apr_pstrdup(prover->ctl->pool, "/tmp/weave-prove-"
                                                         "XXXXXX"));
    if (!prover->dir)
        return apr_psprintf(prover->ctl->pool, "/tmp: %s", strerror(errno));
    problem = weaved_start(prover);
    if (!problem)
        problem = weaved_await(prover);
    if (!problem)
        problem = spec_want(prover, spec);
    if (!problem)
        problem = app_await(generation, prover,
                            weave_clock_us() + timeout_us + BESIDE_US);
    return problem;
}

int ctl_prove(const ctl_t *ctl)
{
    const char *ini = ctl->ini ? ctl->ini : CTL_DEFAULT_INI, *problem, *spec;
    apr_array_header_t *problems = weave_problems_make(ctl->pool);
    weave_conf_t *conf = ctl_ini_read(ini, problems);
    int64_t begun_us = weave_clock_us();
    prover_t prover = {.ctl = ctl};
    json_t *generation = NULL;

    if (!ctl->release || *ctl->release != '/')
        return ctl_usage("prove needs --release PATH, which is absolute");
    if (conf)
        weave_conf_check(conf, problems);
    if (ctl_problems_print(conf, problems) || !conf)
        return CTL_FAILED;
    signal(SIGTERM, end_note);
    signal(SIGINT, end_note);
    signal(SIGHUP, end_note);
    signal(SIGPIPE, SIG_IGN);
    spec = spec_make(&problem, ctl, ini, conf);
    if (!problem)
        problem =
            release_prove(&generation, &prover, spec,
                          weave_conf_int(conf, WEAVE_LIMITS_STARTUP_TIMEOUT));
    begun_us = weave_clock_us() - begun_us;
    prover_end(&prover);
    if (problem)
        generation =
            json_pack("{s:o}", "error", weave_control_text(problem, ctl->pool));
    json_object_set_new(generation, "ms",
                        json_integer((json_int_t)(begun_us / 1000)));
    ctl_json_print(generation, 0);
    json_decref(generation);
    return problem ? CTL_FAILED : CTL_DONE;
}
