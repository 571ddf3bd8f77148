/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEAVE_FOLDER_H
#define WEAVE_FOLDER_H

/**
 * Opens a folder step by step from "/" on, and makes sure that no user with
 * fewer rights can exchange any folder on the way, also on the way of a link.
 *
 * Each must belong to root, the user of this process, or one more that the
 * caller names, and not be writable by others. Its group may write when it is
 * the own group of a trusted user (of the same name, without another member)
 * and the folder has no access control list. Or it is sticky, like /tmp: others
 * can create files there, but not replace those of another user; a link in it
 * must belong to a trusted user.
 *
 * The result is a descriptor. Work below it with openat() and the like: then
 * renaming the folders meanwhile has no effect.
 */

#include <sys/stat.h>
#include <sys/types.h>

#include <apr_errno.h>
#include <apr_pools.h>

typedef struct weave_folder_t {
    int fd; /* O_PATH; the caller closes it */
    struct stat status;
    int made; /* 1: weave_folder_open has made it */
} weave_folder_t;

/** Opens the folder PATH. ALSO is the third user who is trusted (geteuid() for
 *  none). If the folder does not exist, but the one above it does, makes it
 *  with the mode MAKE, whatever the umask is (0: does not make it). On failure
 *  *problem is a message with the cure; EPERM: a user who is not trusted could
 *  exchange it. */
apr_status_t weave_folder_open(weave_folder_t *folder, const char **problem,
                               const char *path, uid_t also, mode_t make,
                               apr_pool_t *pool);

/** Opens the folder PATH so, without making it, and closes it. Returns NULL, or
 *  the message. */
const char *weave_folder_check(const char *path, uid_t also, apr_pool_t *pool);

/** Checks that a folder with STATUS belongs to root or the user of this
 *  process, and that only its owner may write in it, sticky or not. Returns
 *  NULL, or a message. */
const char *weave_folder_check_status(const char *path,
                                      const struct stat *status,
                                      apr_pool_t *pool);

/** Returns the name of a user for a message, or "user NUMBER". */
const char *weave_folder_user(uid_t uid, apr_pool_t *pool);

/** Returns the path of the folder that PATH is in. */
const char *weave_folder_parent(const char *path, apr_pool_t *pool);

/** Checks that this user may trust the folder PATH or, if it does not exist,
 *  the folder above it. Makes nothing. Returns NULL, or a message. */
const char *weave_folder_check_own(const char *path, apr_pool_t *pool);

/** Checks the way to the file PATH. Returns NULL, or a message. WAS is the
 *  status of the file as it was read: PATH must still be this file. Links on
 *  the way must belong to root or to the user of this process, because with a
 *  link ALSO could choose a file that root can read and ALSO cannot. */
const char *weave_folder_check_file(const char *path, const struct stat *was,
                                    uid_t also, apr_pool_t *pool);

/** Returns PATH as one word of root's shell, in POOL: in single quotes when it
 *  has a character that a shell interprets. Users with fewer rights may have
 *  chosen the name of a folder. */
const char *weave_shell_quote(const char *path, apr_pool_t *pool);

#endif
