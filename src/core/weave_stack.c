/* SPDX-License-Identifier: Apache-2.0 */
/* weave_stack.c: makes stacks large enough for Python */
#include "weave_stack.h"

#include <pthread.h>
#include <sys/resource.h>

/* Reads the size from the attributes, to which glibc copies the soft limit at
 * the start of the process. */
static void default_raise(void)
{
    pthread_attr_t attr;
    size_t bytes;

    if (pthread_getattr_default_np(&attr) != 0)
        return;
    if (pthread_attr_getstacksize(&attr, &bytes) == 0 &&
        bytes < WEAVE_STACK_BYTES &&
        pthread_attr_setstacksize(&attr, WEAVE_STACK_BYTES) == 0)
        pthread_setattr_default_np(&attr);
    pthread_attr_destroy(&attr);
}

static size_t bytes_below(rlim_t limit)
{
    return limit < WEAVE_STACK_BYTES ? (size_t)limit : WEAVE_STACK_BYTES;
}

size_t weave_stack_main(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_STACK, &limit) < 0)
        return WEAVE_STACK_BYTES;
    return bytes_below(limit.rlim_max);
}

/* The kernel reads the limit each time that the stack grows, and leaves at
 * least 128 MiB of addresses free for it, also when the limit was smaller. */
size_t weave_stack_prepare(void)
{
    struct rlimit limit;

    default_raise();
    if (getrlimit(RLIMIT_STACK, &limit) == 0 &&
        limit.rlim_cur < WEAVE_STACK_BYTES) {
        limit.rlim_cur = bytes_below(limit.rlim_max);
        setrlimit(RLIMIT_STACK, &limit);
    }
    return weave_stack_main();
}
