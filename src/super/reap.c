/* SPDX-License-Identifier: Apache-2.0 */
/* reap.c: how a process has ended, in words */
#include "super.h"

#include <signal.h>
#include <sys/wait.h>

#include <apr_strings.h>

static const struct {
    int number;
    const char *text;
} signals[] = {
    {SIGKILL, "killed (SIGKILL): by somebody, or by the kernel for lack of"
              " memory"},
    {SIGSEGV, "SIGSEGV: a bug in C code of the application or its packages"},
    {SIGBUS, "SIGBUS: a bug in C code, or a full disk under a mapped file"},
    {SIGABRT, "SIGABRT: C code has given up"},
    {SIGFPE, "SIGFPE: a bug in C code"},
    {SIGILL, "SIGILL: C code that is made for another processor"},
    {SIGTERM, "SIGTERM, from somebody else"},
    {SIGINT, "SIGINT, from somebody else"},
    {SIGHUP, "SIGHUP, from somebody else"},
    {SIGQUIT, "SIGQUIT, from somebody else"},
    {SIGPIPE, "SIGPIPE"},
    {SIGALRM, "SIGALRM"},
    {SIGUSR1, "SIGUSR1"},
    {SIGUSR2, "SIGUSR2"},
    {SIGSYS, "SIGSYS: a system call that is not allowed here"},
    {SIGXCPU, "SIGXCPU: a limit on processor time"},
    {SIGXFSZ, "SIGXFSZ: a limit on the size of files"},
    {SIGTRAP, "SIGTRAP"},
};

const char *super_exit_text(int status, apr_pool_t *pool)
{
    size_t i;

    if (status < 0)
        return "adopted; its exit status is not known";
    if (WIFEXITED(status))
        return apr_psprintf(pool, "exit status %d", WEXITSTATUS(status));
    for (i = 0; i < sizeof(signals) / sizeof(*signals); i++)
        if (WTERMSIG(status) == signals[i].number)
            return signals[i].text;
    return apr_psprintf(pool, "signal %d", WTERMSIG(status));
}
