/* SPDX-License-Identifier: Apache-2.0 */
/* end.h: how weaved ends */
#ifndef SUPER_END_H
#define SUPER_END_H

/* Tells all workers to leave. The loop ends with the last of them. */
void super_end_begin(void);
/* A worker is gone: looks whether it was the last one. */
void super_end_check(void);

#endif
