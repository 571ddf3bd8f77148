/* SPDX-License-Identifier: Apache-2.0 */
/* status.c: weavectl status */
#include "ctl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <apr_strings.h>

#define MIB 1048576.0

static const char *duration(const ctl_t *ctl, json_int_t seconds)
{
    if (seconds < 120)
        return apr_psprintf(ctl->pool, "%ld s", (long)seconds);
    if (seconds < 7200)
        return apr_psprintf(ctl->pool, "%ld min", (long)(seconds / 60));
    if (seconds < 172800)
        return apr_psprintf(ctl->pool, "%ld h", (long)(seconds / 3600));
    return apr_psprintf(ctl->pool, "%ld d", (long)(seconds / 86400));
}

static void show_worker(const ctl_t *ctl, const json_t *worker)
{
    printf("    %8" JSON_INTEGER_FORMAT "  %-9s %-7s %8s %8" JSON_INTEGER_FORMAT
           " %7" JSON_INTEGER_FORMAT " %10" JSON_INTEGER_FORMAT " %7.1f MiB\n",
           ctl_int(worker, "pid"), ctl_text(worker, "state"),
           ctl_text(worker, "python"),
           duration(ctl, ctl_int(worker, "uptime_s")),
           ctl_int(worker, "running"), ctl_int(worker, "queued"),
           ctl_int(worker, "requests"),
           (double)ctl_int(worker, "rss_bytes") / MIB);
}

static void show_generation(const ctl_t *ctl, const json_t *generation)
{
    const json_t *worker;
    size_t i;

    printf("  generation %" JSON_INTEGER_FORMAT ": %s\n",
           ctl_int(generation, "number"), ctl_text(generation, "state"));
    if (json_array_size(ctl_list(generation, "workers")))
        puts("    worker    state     Python    uptime  running  queued  "
             " requests      memory");
    json_array_foreach(ctl_list(generation, "workers"), i, worker)
    {
        show_worker(ctl, worker);
    }
}

static void show_app(const ctl_t *ctl, const json_t *app)
{
    const json_t *generation;
    size_t i;

    printf("\n%s: %s\n", ctl_text(app, "ini"), ctl_text(app, "state"));
    json_array_foreach(ctl_list(app, "generations"), i, generation)
    {
        show_generation(ctl, generation);
    }
    if (*ctl_text(app, "last_error"))
        printf("  last error: %s\n", ctl_text(app, "last_error"));
}

static int show(const ctl_t *ctl, const json_t *status)
{
    const json_t *app;
    int shown = 0;
    size_t i;

    printf("weaved %s, pid %" JSON_INTEGER_FORMAT ", in %s\n",
           ctl_text(status, "version"), ctl_int(status, "pid"),
           ctl_text(status, "runtime_dir"));
    json_array_foreach(ctl_list(status, "applications"), i, app)
    {
        if (ctl->ini_given && strcmp(ctl_text(app, "ini"), ctl->ini) != 0)
            continue;
        show_app(ctl, app);
        shown++;
    }
    if (ctl->ini_given && !shown)
        return ctl_say("weaved runs no application of %s", ctl->ini);
    return CTL_DONE;
}

int ctl_status(const ctl_t *ctl)
{
    json_t *answer = ctl_ask(ctl, json_pack("{s:s}", "op", "status"));
    const json_t *status = json_object_get(answer, "status");
    int rc = CTL_DONE;

    if (!answer)
        return CTL_FAILED;
    if (ctl->json) {
        json_dumpf(status, stdout, JSON_INDENT(2) | JSON_PRESERVE_ORDER);
        puts("");
    }
    else {
        rc = show(ctl, status);
    }
    json_decref(answer);
    return rc;
}
