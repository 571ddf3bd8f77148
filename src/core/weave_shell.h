/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEAVE_SHELL_H
#define WEAVE_SHELL_H

/** Quotes paths in commands that people copy from messages into root's shell.
 */

#include <apr_pools.h>

/** Returns PATH as one word of a shell, in POOL: in single quotes when it has a
 *  character that a shell interprets. Users with fewer rights may have chosen
 *  the name of a folder. */
const char *weave_shell_quote(const char *path, apr_pool_t *pool);

#endif
