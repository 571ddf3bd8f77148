/* SPDX-License-Identifier: Apache-2.0 */
/* config.h: looks for mistakes in a sync.ini */
#ifndef CTL_CONFIG_H
#define CTL_CONFIG_H

#include <apr_pools.h>

/* Prints the mistakes in the file INI for which configtest would refuse it, and
 * returns an exit status. Does not look at the files that INI names. */
int ctl_ini_check(const char *ini, apr_pool_t *pool);

#endif
