/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOD_WEAVE_HIDDEN_H
#define MOD_WEAVE_HIDDEN_H

/* The text of a sync.ini, and what weaved is told of it, may be secrets. Only
 * the parent has them, in memory of its own that is empty in every process that
 * the parent forks (MADV_WIPEONFORK) and in no core dump. No copy may be made
 * in pools, malloc or jansson, which wipe nothing. */

#include <sys/types.h>

#include <apr_errno.h>
#include <apr_pools.h>
#include <apr_user.h>

typedef struct mod_weave_hidden_t {
    char *text;       /* ends in a NUL; NULL: nothing */
    apr_size_t len;   /* of the text */
    apr_size_t bytes; /* that are mapped */
    pid_t owner;      /* the process that has it; others unmap nothing */
} mod_weave_hidden_t;

/* Replaces what is there by a copy of TEXT (NULL: nothing). 0; or -1 and errno
 * where there is no memory, and what is there stays. */
int mod_weave_hidden_set(mod_weave_hidden_t *hidden,
                         const mod_weave_hidden_t *text);

/* Replaces it by what is in the file FD, without a NUL. */
int mod_weave_hidden_read(mod_weave_hidden_t *hidden, int fd);

/* Returns all that is in the file FD, in POOL and with a NUL, or NULL and
 * errno. */
char *mod_weave_hidden_copy(apr_size_t *bytes, int fd, apr_pool_t *pool);

/* Makes a file without a name, which only its owner can open by its descriptor
 * (/proc/self/fd/N). The descriptor, or -1 and errno. */
int mod_weave_hidden_file(const char *name);

/* Makes sure that nobody changes it any more. 0, or -1 and errno. */
int mod_weave_hidden_seal(int fd);

/* Makes a sealed file of TEXT that the user UID can open, too, where this
 * process is root. The descriptor, or -1 and errno. */
int mod_weave_hidden_show(const char *name, const char *text, apr_size_t bytes,
                          apr_uid_t uid);

/* A cleanup of pools: closes FD, a number. */
apr_status_t mod_weave_fd_close(void *fd);

#endif
