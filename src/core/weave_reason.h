/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEAVE_REASON_H
#define WEAVE_REASON_H

/**
 * Hides secrets in the reason of a failure, for weavectl and the log: the
 * exceptions of an application may quote anything, SQLAlchemy's the URL of a
 * database, with its password. The values of the module's own keys are no
 * secrets.
 */

#include <apr_pools.h>
#include <apr_tables.h>

#include "weave_ini.h"

/** Returns TEXT with "***" in place of the values of INI and of ENV, the
 *  variables of a worker (may be NULL), and cut when it is long. In POOL.
 *  Values of less than four bytes stay: any text may contain them by chance. */
const char *weave_reason_mask(const char *text, const weave_ini_t *ini,
                              const apr_table_t *env, apr_pool_t *pool);

#endif
