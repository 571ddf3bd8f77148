/* SPDX-License-Identifier: Apache-2.0 */
/* commands.h: the commands of weavectl; each returns an exit status */
#ifndef CTL_COMMANDS_H
#define CTL_COMMANDS_H

#include "ctl.h"

int ctl_reload(const ctl_t *ctl);
int ctl_status(const ctl_t *ctl);
int ctl_maintenance(const ctl_t *ctl);
int ctl_config(const ctl_t *ctl);
int ctl_check(const ctl_t *ctl);

#endif
