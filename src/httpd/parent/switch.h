/* SPDX-License-Identifier: Apache-2.0 */
/* switch.h: what the configuration says about maintenance, all of it */
#ifndef SWITCH_H
#define SWITCH_H

#include "parent.h"

#include "weave_control.h"

/* All switches, of mod_weave_switch_t *, in the order of their numbers. One
 * that another one of the same section has taken the place of is OFF. */
apr_array_header_t *mod_weave_switches(apr_pool_t *pconf);

/* What the configuration says of APPS, as weave_httpd_state.h has it. */
json_t *mod_weave_declare(const apr_array_header_t *apps,
                          server_rec *main_server, apr_pool_t *pool);

#endif
