/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOD_WEAVE_LAUNCH_H
#define MOD_WEAVE_LAUNCH_H

#include "mod_weave.h"

/* Starts weaved with DATA's lifeline, roster, maintenance board and folder, and
 * waits until it takes requests. NULL, *pid and httpd's end of its control
 * channel; or what is wrong, for people. */
const char *mod_weave_launch(pid_t *pid, int *control, const server_rec *s,
                             const mod_weave_retained_t *data,
                             apr_pool_t *pool);

#endif
