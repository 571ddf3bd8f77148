/* SPDX-License-Identifier: Apache-2.0 */
/* setting.h: what the command line of `weavectl maintenance` sets */
#ifndef CTL_SETTING_H
#define CTL_SETTING_H

#include "ctl.h"
#include "weave_maintenance.h"

/* Reads mode, terms and who gives the command; and into *wait_us how long it is
 * to wait, 0: not at all. Returns an exit status; what is wrong is printed. */
int ctl_setting_read(weave_maintenance_t *setting, int64_t *wait_us,
                     const ctl_t *ctl);

#endif
