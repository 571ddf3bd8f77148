/* SPDX-License-Identifier: Apache-2.0 */
/* reason.c: why a generation has failed */
#include "super.h"

#include <string.h>

#include "weave_reason.h"

const char *super_failure_reason(const char *text, const weave_spec_t *spec,
                                 apr_pool_t *pool)
{
    apr_array_header_t *problems = weave_problems_make(pool);
    weave_ini_t *ini;

    if (!spec) /* adopted, and httpd has told nothing yet */
        return "not told: the sync.ini is not known yet";
    if (weave_ini_parse(&ini, spec->ini_text, strlen(spec->ini_text), spec->ini,
                        problems, pool) != APR_SUCCESS)
        return "not told: the sync.ini cannot be read again";
    return weave_reason_mask(text, ini, spec->env, pool);
}
