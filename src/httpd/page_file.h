/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOD_WEAVE_PAGE_FILE_H
#define MOD_WEAVE_PAGE_FILE_H

#include "mod_weave.h"

/* The file of maintenance.page: the parent checks it, children show it. */

#define MOD_WEAVE_PAGE_FAILURE                                                 \
    "WEAVE0154: maintenance.page, %s, cannot be shown: %s. People see the"     \
    " built-in page; make it a text file that the user whom httpd runs as"     \
    " may read"

/* Returns the text of PATH, or NULL and *why: an errno, or a flaw of the file.
 */
const char *mod_weave_page_read(const char *path, int *why, apr_pool_t *pool);
/* Returns what WHY means, for people. */
const char *mod_weave_page_flaw(int why, apr_pool_t *pool);

/* Returns NULL, or why maintenance.page of CONF cannot be shown by httpd's
 * children. */
const char *mod_weave_page_check(const weave_conf_t *conf, apr_pool_t *pool);

#endif
