/* SPDX-License-Identifier: Apache-2.0 */
/* test_process.c: other processes, as /proc has them */

#include "conf_support.h"

#include <sys/wait.h>
#include <unistd.h>

#include "weave_exec.h"

static void knows_who_has_gone(void **state)
{
    pid_t pid = fork();
    siginfo_t info;
    long parent = 0;

    (void)state;
    if (pid == 0)
        _exit(0);
    assert_int_equal(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
    assert_true(weave_process_is_gone(pid, &parent));
    assert_int_equal(parent, getpid());
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    assert_true(weave_process_is_gone(pid, NULL));
    assert_false(weave_process_is_gone(getpid(), &parent));
    assert_int_equal(parent, getppid());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(knows_who_has_gone),
    };

    return run_each(tests);
}
