/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEAVE_SHELL_H
#define WEAVE_SHELL_H

/** Commands in messages, which people copy into root's shell. */

#include <apr_pools.h>

/** Returns PATH as one word of a shell: in single quotes where anything in it
 *  means something to one. Others may have chosen the name of a folder. */
const char *weave_shell_quote(const char *path, apr_pool_t *pool);

#endif
