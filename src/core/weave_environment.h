/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEAVE_ENVIRONMENT_H
#define WEAVE_ENVIRONMENT_H

/**
 * Makes the part of the environment of a worker that its configuration says.
 *
 * The values may be secrets: whoever makes the table is a process that ends
 * soon, or one that has that environment anyway.
 */

#include "weave_conf.h"

/**
 * Returns the variables that workers.env.NAME sets and, behind them, those of
 * VARIABLES ("NAME=value" each, as environ has them) that workers.pass_env
 * names and that are not set by the former. Names are spelled as written;
 * beware, apr_table_get() does not look at their case.
 *
 * Appends to ABSENT (of const char *; may be NULL) the names in
 * workers.pass_env that VARIABLES does not have, or whose value is no UTF-8.
 */
apr_table_t *weave_environment_make(const weave_conf_t *conf,
                                    char *const *variables,
                                    apr_array_header_t *absent,
                                    apr_pool_t *pool);

#endif
