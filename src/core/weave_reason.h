/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEAVE_REASON_H
#define WEAVE_REASON_H

/**
 * Why something has failed, for weavectl and the log.
 *
 * The text may come from an application, whose exceptions quote what they like:
 * SQLAlchemy's the URL of a database, with its password. The log has the
 * application's own traceback; what we say ourselves quotes no value of the
 * sync.ini but those of the module's own keys, which are no secrets.
 */

#include <apr_pools.h>
#include <apr_tables.h>

#include "weave_ini.h"

/** Returns TEXT with "***" in place of values of INI and of ENV, the variables
 *  of a worker (may be NULL), and cut where it is long. In POOL. A value of
 * less than four bytes stays: it stands in any text by chance. */
const char *weave_reason_mask(const char *text, const weave_ini_t *ini,
                              const apr_table_t *env, apr_pool_t *pool);

#endif
