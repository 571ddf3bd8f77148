/* SPDX-License-Identifier: Apache-2.0 */
/* conf_problems FILE...: what configtest would say of each, a line for each
 * problem. For the examples in docs/keys. */

#include <stdio.h>
#include <stdlib.h>

#include <apr_general.h>

#include "weave_conf.h"

int main(int argc, const char *const argv[])
{
    apr_pool_t *pool;
    apr_array_header_t *problems;
    weave_conf_t *conf;
    int i;

    apr_app_initialize(&argc, &argv, NULL);
    atexit(apr_terminate);
    apr_pool_create(&pool, NULL);
    problems = weave_problems_make(pool);
    for (i = 1; i < argc; i++) {
        weave_conf_read(&conf, argv[i], problems, pool);
    }
    for (i = 0; i < problems->nelts; i++) {
        puts(weave_problem_text(APR_ARRAY_IDX(problems, i, weave_problem_t *),
                                pool));
    }
    return 0;
}
