/* SPDX-License-Identifier: Apache-2.0 */
/* call.c: asks weaved */
#include "call.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include <apr_strings.h>

#include "say.h"
#include "weave_control.h"
#include "weave_folder.h"

#define ANSWER_MS 10000

json_t *ctl_call_quietly(const ctl_t *ctl, json_t *request,
                         const char **problem)
{
    json_t *answer = NULL;
    char *why = NULL;
    const char *way = NULL;
    weave_folder_t folder;
    apr_status_t rv =
        weave_folder_open(&folder, &way, ctl->dir, geteuid(), 0, ctl->pool);

    if (rv == APR_SUCCESS)
        close(folder.fd);
    /* the connect explains every other failure better */
    if (rv != EPERM) {
        rv = weave_control_ask(
            &answer, &why,
            apr_pstrcat(ctl->pool, ctl->dir, "/" WEAVE_CONTROL_SOCKET, NULL),
            request, -1, ANSWER_MS);
        way = why;
    }
    json_decref(request);
    if (rv != APR_SUCCESS)
        *problem = apr_pstrdup(ctl->pool, way);
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
