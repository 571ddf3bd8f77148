/* SPDX-License-Identifier: Apache-2.0 */
/* wait.h: waits until nothing is in Python any more */
#ifndef CTL_WAIT_H
#define CTL_WAIT_H

#include "change.h"

/* Waits at most WAIT_US until the applications that CHANGE means are on, and
 * nothing of them is in Python. Returns an exit status; it is printed why. */
int ctl_change_wait(ctl_change_t *change, int64_t wait_us);

#endif
