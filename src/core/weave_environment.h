/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEAVE_ENVIRONMENT_H
#define WEAVE_ENVIRONMENT_H

#include "weave_conf.h"

/**
 * Returns, in POOL, the variables of httpd's environment that workers get:
 * those of VARIABLES ("NAME=value" each, like environ) that workers.pass_env
 * names and workers.env.NAME does not set; see weave_conf_member().
 *
 * The values may be secrets. Make the table only in a process that ends soon,
 * or in one that has these values in its environment anyway.
 *
 * Appends to ABSENT (of const char *; may be NULL) the names in
 * workers.pass_env that VARIABLES does not have, or whose value is no UTF-8.
 */
apr_table_t *weave_environment_passed(const weave_conf_t *conf,
                                      char *const *variables,
                                      apr_array_header_t *absent,
                                      apr_pool_t *pool);

#endif
