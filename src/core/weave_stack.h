/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEAVE_STACK_H
#define WEAVE_STACK_H

/**
 * Makes stacks large enough for Python.
 *
 * Python's recursion limit counts calls, not bytes: it fits the 8 MiB that
 * Linux gives a main thread by default. With `ulimit -s unlimited` glibc gives
 * threads 2 MiB, with a small limit only so much, and then a deep recursion
 * ends the process before it raises RecursionError.
 */

#include <stddef.h>

#define WEAVE_STACK_BYTES ((size_t)8 << 20)

/**
 * Gives threads that this process makes from now on WEAVE_STACK_BYTES at least,
 * unless their attributes have a size, and lets the stack of the main thread
 * grow as far. Returns how far that may grow, in bytes: less when the hard
 * limit is lower.
 */
size_t weave_stack_prepare(void);

/** Returns the same as weave_stack_prepare(), but changes nothing. */
size_t weave_stack_main(void);

#endif
