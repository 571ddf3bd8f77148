/* SPDX-License-Identifier: Apache-2.0 */
/* app.h: the applications that weaved has */
#ifndef SUPER_APP_H
#define SUPER_APP_H

#include "super.h"

super_app_t *super_app_make(uint32_t index, const char *name);
/* Returns the application that is wanted at INDEX, or NULL. */
super_app_t *super_app_find(uint32_t index);
/* Frees it when it is not wanted and nothing of it is left. */
void super_app_free_unused(super_app_t *app);
/* Sets the secret. Returns 1 where the application had another one, which its
 * workers have. */
int super_app_secret_set(super_app_t *app, const weave_secret_t *secret);
/* Stores TEXT as the reason why generation NUMBER has failed; NULL: one
 * serves. */
void super_app_error_set(super_app_t *app, const char *text, uint32_t number);
/* Returns TEXT, by which a worker says why it has failed, without the secrets
 * of the sync.ini that SPEC (may be NULL) holds: see weave_reason_mask(). */
const char *super_app_reason(const char *text, const weave_spec_t *spec,
                             apr_pool_t *pool);

#endif
