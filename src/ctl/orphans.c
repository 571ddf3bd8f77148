/* SPDX-License-Identifier: Apache-2.0 */
/* orphans.c: what is left of an httpd whose parent was killed
 *
 * Its children serve on, and nobody tells them to end: weavectl has to tell
 * them what it tells others, and people that they are there. */
#include "view.h"

#include <apr_strings.h>

#include "weave_process.h"

#define SHOWN 8 /* pids in the sentence */

const char *ctl_orphans(const weave_maintenance_board_t *board,
                        apr_pool_t *pool)
{
    const apr_array_header_t *holders;
    const char *list = "";
    int i;

    if (!weave_process_is_gone((long)board->pid, NULL))
        return NULL;
    holders = weave_maintenance_holders(board, pool);
    for (i = 0; i < holders->nelts && i < SHOWN; i++)
        list = apr_psprintf(pool, "%s%s%ld", list, i ? ", " : "",
                            APR_ARRAY_IDX(holders, i, long));
    return apr_psprintf(pool,
                        "httpd %u was killed, and what it has started serves "
                        "on (pid %s%s): end that before httpd is started again",
                        board->pid, list,
                        holders->nelts > SHOWN ? " and others" : "");
}
