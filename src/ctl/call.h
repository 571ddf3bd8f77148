/* SPDX-License-Identifier: Apache-2.0 */
/* call.h: asks weaved */
#ifndef CTL_CALL_H
#define CTL_CALL_H

#include <jansson.h>

#include "ctl.h"

/* Sends REQUEST, which is given away, to the weaved of ctl->dir. Returns its
 * answer, or NULL and *problem. */
json_t *ctl_call_quietly(const ctl_t *ctl, json_t *request,
                         const char **problem);
/* Does the same, and prints the problem. */
json_t *ctl_call(const ctl_t *ctl, json_t *request);

#endif
