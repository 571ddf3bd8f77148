/* SPDX-License-Identifier: Apache-2.0 */
/* switch.h: what the configuration says about maintenance, all of it */
#ifndef SWITCH_H
#define SWITCH_H

#include "mod_weave.h"

/* All switches, of mod_weave_switch_t *, in the order of their numbers. One
 * that another one of the same section has taken the place of is OFF. */
apr_array_header_t *mod_weave_switches(apr_pool_t *pconf);

#endif
