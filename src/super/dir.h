/* SPDX-License-Identifier: Apache-2.0 */
/* dir.h: the runtime directory: ours alone, with a lock and sockets */
#ifndef SUPER_DIR_H
#define SUPER_DIR_H

#include "super.h"

/* Makes the runtime directory ours, and listens there for weavectl. Returns
 * NULL, or a message for the operator. */
const char *super_dir_open(apr_pool_t *pool);
/* Does the same after it was lost. */
const char *super_dir_reopen(apr_pool_t *pool);
/* Lets GID, httpd's children, enter it. */
void super_dir_group_set(long gid);
/* Makes a listening socket there; PATH is its path. */
apr_status_t super_dir_listen(int *fd, const char *path, mode_t mode,
                              int backlog);
/* Tells whether somebody has removed or replaced it, or sockets in it. */
int super_dir_is_lost(void);
/* Removes our own files there, and gives up the lock. */
void super_dir_remove(void);
/* Removes the socket PATH, which is one of its own. */
void super_dir_unlink(const char *path);

#endif
