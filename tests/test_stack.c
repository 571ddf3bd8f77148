/* SPDX-License-Identifier: Apache-2.0 */
/* weave_stack: what threads and the main thread may grow to */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "weave_host.h"

static void *thread_measure(void *bytes)
{
    pthread_attr_t attr;

    pthread_getattr_np(pthread_self(), &attr);
    pthread_attr_getstacksize(&attr, bytes);
    pthread_attr_destroy(&attr);
    return NULL;
}

static size_t thread_bytes(void)
{
    size_t bytes = 0;
    pthread_t thread;

    assert_int_equal(pthread_create(&thread, NULL, thread_measure, &bytes), 0);
    pthread_join(thread, NULL);
    return bytes;
}

static void default_set(size_t bytes)
{
    pthread_attr_t attr;

    pthread_getattr_default_np(&attr);
    pthread_attr_setstacksize(&attr, bytes);
    pthread_setattr_default_np(&attr);
    pthread_attr_destroy(&attr);
}

static void threads_get_more(void **state)
{
    (void)state;
    default_set((size_t)2 << 20);
    assert_in_range(thread_bytes(), (size_t)2 << 20, (size_t)3 << 20);
    weave_stack_prepare();
    assert_true(thread_bytes() >= WEAVE_STACK_BYTES);
}

static void threads_keep_more(void **state)
{
    (void)state;
    default_set((size_t)32 << 20);
    weave_stack_prepare();
    assert_true(thread_bytes() >= (size_t)32 << 20);
}

/* Uses that much of the stack, page by page. */
static int stack_use(size_t bytes)
{
    volatile char page[4096];

    page[0] = (char)bytes;
    page[4095] = 1;
    return bytes <= sizeof(page) ? page[0]
                                 : stack_use(bytes - sizeof(page)) + page[4095];
}

/* Forks: the status of a process whose main thread uses BYTES under a soft
 * limit of 1 MiB, or dies of it. */
static int main_thread_uses(size_t bytes, int prepared)
{
    struct rlimit limit;
    int status = -1;
    pid_t pid = fork();

    if (pid == 0) {
        getrlimit(RLIMIT_STACK, &limit);
        limit.rlim_cur = 1 << 20;
        setrlimit(RLIMIT_STACK, &limit);
        if (prepared)
            weave_stack_prepare();
        _exit(stack_use(bytes) ? 0 : 1);
    }
    waitpid(pid, &status, 0);
    return status;
}

static void main_thread_grows(void **state)
{
    (void)state;
    if (weave_stack_main() < WEAVE_STACK_BYTES)
        skip();
    assert_int_not_equal(main_thread_uses((size_t)4 << 20, 0), 0);
    assert_int_equal(main_thread_uses((size_t)4 << 20, 1), 0);
}

static void hard_limit_is_told(void **state)
{
    struct rlimit limit;
    int status = -1;
    pid_t pid = fork();

    (void)state;
    if (pid == 0) {
        limit.rlim_cur = limit.rlim_max = 2 << 20;
        setrlimit(RLIMIT_STACK, &limit);
        _exit(weave_stack_main() == 2 << 20 && weave_stack_prepare() == 2 << 20
                  ? 0
                  : 1);
    }
    waitpid(pid, &status, 0);
    assert_int_equal(status, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(threads_get_more),
        cmocka_unit_test(threads_keep_more),
        cmocka_unit_test(main_thread_grows),
        cmocka_unit_test(hard_limit_is_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
