/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEAVE_HOST_H
#define WEAVE_HOST_H

/** What both hosts of an engine, an httpd child and a worker, need before they
 *  start it. */

#include <signal.h>
#include <stddef.h>

#include <apr_pools.h>
#include <apr_tables.h>

/** Returns LIST (of const char *) as an array that ends with NULL, in POOL. */
const char *const *weave_host_strings(const apr_array_header_t *list,
                                      apr_pool_t *pool);

/** Returns TABLE as name, value, name, value, ..., NULL, in POOL. */
const char *const *weave_host_pairs(const apr_table_t *table, apr_pool_t *pool);

/** Returns TEXT, or NULL where it is "" or NULL. */
const char *weave_host_text(const char *text);

/** Blocks all signals but faults for the calling thread, and sets *before to
 *  its mask of before: a thread that it starts now handles no signal of the
 *  process. */
void weave_host_signals_block(sigset_t *before);

/** Python's recursion limit counts calls, not bytes: it fits the 8 MiB that
 *  Linux gives a main thread by default. With `ulimit -s unlimited` glibc gives
 *  threads 2 MiB, with a small limit only so much, and then a deep recursion
 *  ends the process before it raises RecursionError. */
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

/** Gives threads that this process makes from now on WEAVE_STACK_BYTES at
 *  least, unless their attributes have a size, and lets the stack of the main
 *  thread grow as far. Returns how far that may grow, in bytes: less when the
 *  hard limit is lower. */
size_t weave_stack_prepare(void);

/** Returns the same as weave_stack_prepare(), but changes nothing. */
size_t weave_stack_main(void);

/** Returns the locale in the first of LC_ALL, LC_CTYPE and LANG that is not
 *  empty, and sets *VARIABLE to its name. Returns NULL when all are empty; also
 *  when that one is LC_CTYPE or LANG and its value "C" or "POSIX", as in Python
 *  (PEP 538). */
const char *weave_locale_wanted(const char **variable);

/** Sets LC_CTYPE of the whole process, by which C libraries convert text, to
 *  NAME; or to C.UTF-8 when NAME is NULL or this machine has no such locale.
 *  Call it before there are threads. Returns 0; -1 when it has set C.UTF-8
 *  instead of NAME; -2 when it has changed nothing, because there is no C.UTF-8
 *  either. */
int weave_locale_set(const char *name);

/** Loads LIBPYTHON (a path; NULL: SONAME, which the linker finds; both NULL:
 *  the one that the object is linked with) and the engine at PATH, for ever,
 *  both with global symbols, and looks SYMBOL (weave_engine.h) up in it.
 *  Returns NULL and sets *found; or returns a message in POOL. */
const char *weave_dso_load(const void **found, const char *libpython,
                           const char *soname, const char *path,
                           const char *symbol, apr_pool_t *pool);

#endif
