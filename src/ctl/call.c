/* SPDX-License-Identifier: Apache-2.0 */
/* call.c: asks weaved */
#include "call.h"

#include <stdlib.h>

#include <apr_strings.h>

#include "folder.h"
#include "say.h"
#include "weave_control.h"

#define ANSWER_MS 10000

json_t *ctl_call_quietly(const ctl_t *ctl, json_t *request,
                         const char **problem)
{
    const char *closed = ctl_dir_why_not(ctl->dir, ctl->pool);
    json_t *answer = NULL;
    char *why = NULL;

    if (closed)
        *problem = closed;
    else if (weave_control_ask(&answer, &why,
                               apr_pstrcat(ctl->pool, ctl->dir,
                                           "/" WEAVE_CONTROL_SOCKET, NULL),
                               request, -1, ANSWER_MS) != APR_SUCCESS)
        *problem = apr_pstrdup(ctl->pool, why);
    json_decref(request);
    free(why);
    return answer;
}

json_t *ctl_call(const ctl_t *ctl, json_t *request)
{
    const char *problem = NULL;
    json_t *answer = ctl_call_quietly(ctl, request, &problem);

    if (problem)
        ctl_say("%s", problem);
    return answer;
}
