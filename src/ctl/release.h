/* SPDX-License-Identifier: Apache-2.0 */
/* release.h: the commands that src/release does, in Python */
#ifndef CTL_RELEASE_H
#define CTL_RELEASE_H

#include <apr_getopt.h>
#include <apr_pools.h>

/* Prints a line for each of those commands. */
void ctl_releases_help(void);

/* Returns the word of ARGV that is such a command, or "help" before one; NULL:
 * the first word is something else. OPTIONS say which options have a value. */
const char *ctl_release_find(int argc, const char *const *argv,
                             const apr_getopt_option_t *options);

/* Becomes the program in LIBDIR that does the command. Returns an exit status
 * where it cannot be started. */
int ctl_release_run(int argc, const char *const *argv, const char *libdir,
                    apr_pool_t *pool);

#endif
