/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEAVE_FOLDER_H
#define WEAVE_FOLDER_H

/**
 * Opens a folder step by step from "/" on, and makes sure that nobody with
 * fewer rights can put something else in the place of any step.
 *
 * Trusted are root, the user of this process, and one more that the caller
 * names. Each folder on the way, also on the way of a link:
 *
 *  - belongs to one of them;
 *  - cannot be written by others. Its group may write where that is one of
 *    theirs: of the same name, without another member, and the folder has no
 *    access control list.
 *  - Or it is sticky, as /tmp is: others can make things there, but not replace
 *    what is not theirs. A link in it must belong to a trusted user.
 *
 * The result is a descriptor. Work below it with openat() and its like: then it
 * does not matter what is renamed meanwhile.
 */

#include <sys/stat.h>
#include <sys/types.h>

#include <apr_errno.h>
#include <apr_pools.h>

typedef struct weave_folder_t {
    int fd; /* O_PATH; the caller closes it */
    struct stat status;
    int made; /* 1: it was not there */
} weave_folder_t;

/**
 * Opens the folder PATH. ALSO is the third user who is trusted (geteuid() where
 * there is none). MAKE: the mode with which it is made where it is not there,
 * but not the folders above; 0: it is not made. On failure *problem says what
 * is wrong, and what can be done; EPERM: somebody could exchange it.
 */
apr_status_t weave_folder_open(weave_folder_t *folder, const char **problem,
                               const char *path, uid_t also, mode_t make,
                               apr_pool_t *pool);

/** Says what is wrong with the way to the folder PATH, or NULL. */
const char *weave_folder_check(const char *path, uid_t also, apr_pool_t *pool);

/** Says why a folder with STATUS is none that only root or the user of this
 *  process may write in, sticky or not; or NULL. */
const char *weave_folder_check_status(const char *path,
                                      const struct stat *status,
                                      apr_pool_t *pool);

/** Returns the name of a user for a message, or "user NUMBER". */
const char *weave_folder_user(uid_t uid, apr_pool_t *pool);

/** Returns the path of the folder that PATH is in. */
const char *weave_folder_parent(const char *path, apr_pool_t *pool);

/** Says why PATH, or where it is not there the folder that it is to be made in,
 *  is none that this user may trust; or NULL. Makes nothing. */
const char *weave_folder_check_own(const char *path, apr_pool_t *pool);

/**
 * Says what is wrong with the way to the file PATH, or NULL. WAS is the file
 * as it was read: another one must not have taken its place since. Links on the
 * way must belong to root or the user of this process: a link of ALSO would
 * choose among the files that root can read, and ALSO may not.
 */
const char *weave_folder_check_file(const char *path, const struct stat *was,
                                    uid_t also, apr_pool_t *pool);

#endif
