/* SPDX-License-Identifier: Apache-2.0 */
/* adopt.h: takes over the workers of a weaved that has died */
#ifndef SUPER_ADOPT_H
#define SUPER_ADOPT_H

#include "super.h"

/* Takes over what the roster has. */
void super_adopt_roster(void);
/* The secret of APP is known: joins those of its workers that are adopted. */
void super_adopt_join(super_app_t *app);

#endif
