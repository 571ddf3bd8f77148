/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEAVE_STACK_H
#define WEAVE_STACK_H

/**
 * Stacks that are large enough for Python.
 *
 * Its recursion limit counts calls, not bytes: it is made for the 8 MiB that
 * Linux gives a main thread by default. With `ulimit -s unlimited` glibc gives
 * threads 2 MiB, with a small one that much, and a deep recursion ends the
 * process before it is a RecursionError.
 */

#include <stddef.h>

#define WEAVE_STACK_BYTES ((size_t)8 << 20)

/**
 * Threads that this process makes from now on get WEAVE_STACK_BYTES at least,
 * unless their attributes say a size, and the stack of its main thread may
 * grow as far. Returns what the main thread's may grow to: less where the hard
 * limit is below.
 */
size_t weave_stack_prepare(void);

/** Returns what weave_stack_prepare() would, and changes nothing. */
size_t weave_stack_main(void);

#endif
