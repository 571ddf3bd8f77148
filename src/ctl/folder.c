/* SPDX-License-Identifier: Apache-2.0 */
/* folder.c: which WeaveStateDir is meant, and whether this user may use it */
#include "folder.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <apr_strings.h>

#include "weave_folder.h"
#include "weave_maintenance_board.h"

#define OWNER_ONLY "only root and the user that starts httpd may "

const char *ctl_path_resolve(apr_pool_t *pool, const char *path)
{
    char *found = realpath(path, NULL);

    if (found)
        path = apr_pstrdup(pool, found);
    free(found);
    return path;
}

const char *ctl_why(const char *why, apr_pool_t *pool)
{
    const char *denied = strerror(EACCES);
    size_t len = strlen(denied);

    if (strlen(why) < len || strcmp(why + strlen(why) - len, denied) != 0)
        return why;
    return apr_pstrcat(pool, OWNER_ONLY "look into its memory (", why, ")",
                       NULL);
}

const char *ctl_dir_check(const char *dir, int writable, apr_pool_t *pool)
{
    struct stat status;
    int found = stat(dir, &status) == 0;

    if (!found && (errno == ENOENT || errno == ENOTDIR))
        return apr_psprintf(pool,
                            "%s is not there: httpd makes it at its start. If "
                            "yours has another WeaveStateDir, name it with -s",
                            dir);
    if (!writable || geteuid() == 0)
        return NULL;
    if (found ? status.st_uid != geteuid() && access(dir, W_OK) < 0
              : errno == EACCES)
        return apr_pstrcat(pool, OWNER_ONLY "change what is in ", dir, NULL);
    return NULL;
}

/* Whoever starts httpd has made DIR. NULL where it is not there. */
static const char *owner_why_not(const char *dir, int *is_mine,
                                 apr_pool_t *pool)
{
    struct stat status;

    if (stat(dir, &status) < 0)
        return errno == EACCES
                   ? apr_pstrcat(pool, dir, ": ", strerror(errno), NULL)
                   : NULL;
    if (status.st_uid == geteuid()) {
        *is_mine = 1;
        return NULL;
    }
    return apr_pstrcat(pool, dir, " belongs to ",
                       weave_folder_user(status.st_uid, pool), NULL);
}

const char *ctl_rights_why_not(const ctl_t *ctl)
{
    /* those that are named tell; otherwise the default, as far as it is there
     */
    const char *dir = ctl->dir_given || !ctl->state_dir ? ctl->dir : NULL;
    const char *state = ctl->state_dir, *why = NULL;
    int is_mine = 0;

    if (geteuid() == 0)
        return NULL;
    if (dir)
        why = owner_why_not(dir, &is_mine, ctl->pool);
    if (!state && !ctl->dir_given)
        state = WEAVE_STATE_DIR;
    if (!why && !is_mine && state)
        why = owner_why_not(state, &is_mine, ctl->pool);
    return why;
}

int ctl_is_same_folder(const char *a, const char *b)
{
    return !strcmp(a, b) || weave_maintenance_is_same_folder(a, b) == 1;
}

/* The board of the httpd of ctl->dir, or NULL; *why: it cannot be known. */
static const weave_maintenance_board_t *board_there(const char **why,
                                                    const char *link,
                                                    const ctl_t *ctl)
{
    const weave_maintenance_board_t *board =
        weave_maintenance_open(why, link, 0, ctl->pool);
    struct stat status;

    if (!board && !*why && lstat(link, &status) < 0 && errno == EACCES)
        *why = apr_pstrcat(ctl->pool, link, ": ", strerror(EACCES), NULL);
    if (*why)
        *why = ctl_why(*why, ctl->pool);
    return board;
}

/* What was named with -s stands, where it is not another one's. */
static const char *named_check(const weave_maintenance_board_t *board,
                               const ctl_t *ctl)
{
    if (!board || !ctl->dir_given ||
        ctl_is_same_folder(board->state_dir, ctl->state_dir))
        return NULL;
    return apr_psprintf(ctl->pool,
                        "the httpd that runs with %s (-d) has its "
                        "WeaveStateDir in %s, not in %s (-s): leave out one "
                        "of them ($WEAVE_RUNTIME_DIR and $WEAVE_STATE_DIR are "
                        "the same as they)",
                        ctl->dir, board->state_dir, ctl->state_dir);
}

const char *ctl_state_dir(const char **dir, const ctl_t *ctl)
{
    const char *link = apr_pstrcat(ctl->pool, ctl->dir,
                                   "/" WEAVE_MAINTENANCE_RUNTIME_LINK, NULL);
    const char *why = NULL, *problem = NULL;
    const weave_maintenance_board_t *board = board_there(&why, link, ctl);
    struct stat status;

    if (ctl->state_dir) {
        problem = named_check(board, ctl);
        *dir = ctl->state_dir;
    }
    else if (board)
        *dir =
            apr_pstrndup(ctl->pool, board->state_dir, sizeof(board->state_dir));
    else if (why)
        problem = apr_psprintf(ctl->pool,
                               "%s; to go on all the same, name the folder of "
                               "WeaveStateDir with -s",
                               why);
    else if (ctl->dir_given) /* the default may be that of another httpd */
        problem = apr_psprintf(ctl->pool,
                               lstat(link, &status) < 0
                                   ? "%s is not there: no httpd runs with this "
                                     "WeaveRuntimeDir, or somebody has removed "
                                     "what was in it, which `apachectl "
                                     "graceful` makes again. Or name the "
                                     "folder of WeaveStateDir with -s"
                                   : "%s leads to no httpd that runs: name the "
                                     "folder of WeaveStateDir with -s",
                               link);
    else
        *dir = WEAVE_STATE_DIR;
    return problem;
}
