/* SPDX-License-Identifier: Apache-2.0 */
/* warmup.h: asks a worker for the release.warmup of its generation */
#ifndef SUPER_WARMUP_H
#define SUPER_WARMUP_H

#include "super.h"

/* Begins, and tells the worker's events `ready` or `failed` in the end. */
void super_warmup_start(super_worker_t *worker);
/* Ends it in any state. Tells nothing. */
void super_warmup_end(super_worker_t *worker);

#endif
