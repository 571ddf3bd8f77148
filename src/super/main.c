/* SPDX-License-Identifier: Apache-2.0 */
/* main.c: weaved, from its start to its end
 *
 *     weaved RUNTIME_DIR
 *
 * httpd's parent starts it in a session of its own, with the descriptors that
 * weave_control.h numbers. It lives as long as httpd or one of its children
 * does: it survives each restart, and ends with the last of them. */
#include "app.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <apr_general.h>

#include "control.h"

static super_watch_t lifeline, hangup;

/* The lifeline has no writer any more: httpd and all its children have ended.
 */
static void lifeline_event(void *data, uint32_t events)
{
    char byte;

    (void)data;
    (void)events;
    if (read(WEAVE_SUPER_LIFELINE_FD, &byte, 1) != 0)
        return;
    super_watch_cancel(&lifeline);
    super_end_begin();
}

static void hangup_event(void *data, uint32_t events)
{
    struct signalfd_siginfo info;
    apr_pool_t *pool;

    (void)data;
    (void)events;
    if (read(hangup.fd, &info, sizeof(info)) != sizeof(info))
        return;
    apr_pool_create(&pool, super.pool);
    super_release_reload(NULL, pool);
    apr_pool_destroy(pool);
}

static apr_status_t hangup_init(void)
{
    sigset_t set;
    int fd;

    /* the program that reads the log may have died */
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN); /* the log may have reached RLIMIT_FSIZE */
    sigemptyset(&set);
    sigaddset(&set, SIGHUP);
    sigprocmask(SIG_SETMASK, &set, NULL);
    fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    return fd < 0 ? errno
                  : super_watch_set(&hangup, fd, EPOLLIN, hangup_event, NULL);
}

static __attribute__((noreturn)) void start_refuse(const char *text)
{
    if (write(WEAVE_SUPER_READY_FD, text, strlen(text)) < 0 ||
        write(WEAVE_SUPER_READY_FD, "\n", 1) < 0)
        weave_line_say(WEAVE_LINE_ERROR, "%s", text);
    _exit(1);
}

static __attribute__((noreturn)) void start_refuse_status(apr_status_t rv)
{
    char text[200], why[120];

    snprintf(text, sizeof(text), "WEAVE0069: weaved cannot start: %s",
             apr_strerror(rv, why, sizeof(why)));
    start_refuse(text);
}

static void descriptors_keep(void)
{
    int fd;

    for (fd = WEAVE_SUPER_LIFELINE_FD; fd < WEAVE_SUPER_FDS; fd++)
        if (fcntl(fd, F_SETFD, FD_CLOEXEC) < 0) {
            fprintf(stderr, "weaved is started by httpd alone\n");
            _exit(2);
        }
    fcntl(WEAVE_SUPER_LIFELINE_FD, F_SETFL, O_NONBLOCK);
}

/* Raises the limit of descriptors: weaved needs three for each worker. Workers
 * get back what httpd had. */
static void descriptors_raise(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &super.descriptors) < 0)
        return;
    limit = super.descriptors;
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
}

static void weaved_start(const char *dir)
{
    const char *problem;
    apr_pool_t *pool;
    apr_status_t rv;

    super.dir = dir;
    descriptors_raise();
    super_log_open();
    rv = weave_roster_map(&super.roster, WEAVE_SUPER_ROSTER_FD, 1);
    if (rv == APR_SUCCESS)
        rv = super_loop_init();
    if (rv == APR_SUCCESS)
        rv = hangup_init();
    if (rv != APR_SUCCESS)
        start_refuse_status(rv);
    apr_pool_create(&pool, super.pool);
    problem = super_dir_open(pool);
    if (problem)
        start_refuse(problem);
    apr_pool_destroy(pool);
    rv = super_watch_set(&lifeline, WEAVE_SUPER_LIFELINE_FD, EPOLLIN,
                         lifeline_event, NULL);
    if (rv == APR_SUCCESS)
        rv = super_control_open(WEAVE_SUPER_CONTROL_FD, super_operation_answer);
    if (rv != APR_SUCCESS)
        start_refuse_status(rv);
    super_adopt_roster();
    close(WEAVE_SUPER_READY_FD);
}

int main(int argc, const char *const *argv)
{
    if (argc != 2 || *argv[1] != '/') {
        fprintf(stderr, "usage: weaved RUNTIME_DIR (started by httpd)\n");
        return 2;
    }
    descriptors_keep();
    prctl(PR_SET_NAME, "weaved");
    apr_initialize();
    apr_pool_create(&super.pool, NULL);
    if (!super.pool)
        start_refuse_status(APR_ENOMEM);
    apr_pool_tag(super.pool, "weaved");
    weaved_start(argv[1]);
    super_loop_run();
    super_dir_remove();
    apr_terminate();
    return 0;
}
