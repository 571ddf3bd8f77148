/* SPDX-License-Identifier: Apache-2.0 */
/* change.c: changes the state file, as `weavectl maintenance MODE` says
 *
 * The file is replaced in one step, under a lock. Whoever kills weavectl leaves
 * the old file or the new one. */
#include "change.h"

#include <string.h>
#include <unistd.h>

#include <apr_strings.h>
#include <apr_time.h>

#include "say.h"
#include "weave_ini.h"
#include "weave_utf8.h"

#define LOCK_MS 10000
/* A child of httpd looks at the file before it admits a request, 100 ms after
 * its last look at the latest. */
#define SETTLE_US 250000

void ctl_change_settle(void)
{
    apr_sleep(SETTLE_US);
}

/* ---- what may be changed ---- */

/* Finds a path that is no UTF-8, also as httpd.json has it: with \xHH. The
 * state file is JSON and cannot have it. */
static int is_utf8(const char *ini)
{
    return weave_utf8_is_text(ini, ini + strlen(ini)) &&
           (!strstr(ini, "\\x") || access(ini, F_OK) == 0);
}

/* Returns why INI is no sync.ini, or NULL. Mistakes in it are for httpd to
 * find. */
static const char *ini_why_not(const char *ini, apr_pool_t *pool)
{
    apr_array_header_t *problems = weave_problems_make(pool);
    weave_ini_t *read = NULL;

    weave_ini_read(&read, ini, problems, pool);
    if (read && weave_ini_sections(read)->nelts)
        return NULL;
    return problems->nelts
               ? weave_problem_text(
                     APR_ARRAY_IDX(problems, 0, weave_problem_t *), pool)
               : apr_pstrcat(pool, ini, ": there is no [section] in it", NULL);
}

/* Refuses an INI that nobody has: it is a slip. */
static int ini_check(const ctl_change_t *change)
{
    const ctl_view_t *view = &change->view;
    const char *ini = change->ctl->ini, *why;

    if (!ini)
        return CTL_DONE;
    if (!is_utf8(ini))
        return ctl_say("%s: this path is no UTF-8, so nothing can be set for"
                       " it alone: without INI it is set for all",
                       ini);
    if (ctl_app_find(view, ini) ||
        (change->setting.mode == WEAVE_MAINTENANCE_OFF &&
         weave_maintenance_find(change->old, ini)))
        return CTL_DONE;
    if (view->httpd.runs && !view->httpd.unseen)
        return ctl_app_missing(view, change->ctl);
    why = ini_why_not(ini, change->ctl->pool);
    return why ? ctl_say("this is no sync.ini: %s", why) : CTL_DONE;
}

/* ---- the change, with the lock held ---- */

static int file_write(const ctl_change_t *change)
{
    const char *problem = weave_maintenance_write(
        change->view.entries, change->view.httpd.state_dir, change->ctl->pool);

    return problem ? ctl_say("%s; nothing has changed", problem) : CTL_DONE;
}

static int change_locked(ctl_change_t *change)
{
    ctl_view_t *view = &change->view;

    ctl_view_refresh(view, change->ctl);
    if (view->file == WEAVE_MAINTENANCE_FILE_BAD)
        apr_array_clear(view->entries);
    change->old = apr_array_copy(change->ctl->pool, view->entries);
    if (ini_check(change) != CTL_DONE)
        return CTL_FAILED;
    if (view->damage && change->ctl->ini) /* it has other entries, perhaps */
        return ctl_say("%s, so nothing can be changed for one application "
                       "alone: `weavectl maintenance %s` for all replaces it",
                       view->damage, change->ctl->mode);
    if (view->damage)
        ctl_say("notice: %s; it is replaced", view->damage);
    weave_maintenance_set(view->entries, change->ctl->ini, &change->setting);
    if (file_write(change) != CTL_DONE)
        return CTL_FAILED;
    ctl_view_refresh(view, change->ctl);
    return CTL_DONE;
}

static int hold_locked(ctl_change_t *change)
{
    ctl_view_t *view = &change->view;
    weave_maintenance_t setting = change->setting;
    const weave_maintenance_t *found;

    ctl_view_refresh(view, change->ctl);
    found = weave_maintenance_find(view->entries, change->ctl->ini);
    if (!found || found->mode != WEAVE_MAINTENANCE_DRAINING ||
        found->since_us != setting.since_us)
        return CTL_DONE;
    setting.mode = WEAVE_MAINTENANCE_ON;
    setting.since_us = apr_time_now();
    weave_maintenance_set(view->entries, change->ctl->ini, &setting);
    return file_write(change);
}

/* Calls WORK with the lock held. Returns what it returns, or CTL_FAILED. */
static int change_with_lock(ctl_change_t *change, int (*work)(ctl_change_t *))
{
    int lock, rc;
    const char *problem = weave_maintenance_lock(
        &lock, change->view.httpd.state_dir, 0, LOCK_MS, change->ctl->pool);

    if (problem)
        return ctl_say("%s", problem);
    rc = work(change);
    close(lock);
    return rc;
}

int ctl_change_make(ctl_change_t *change)
{
    const ctl_t *ctl = change->ctl;

    ctl_view_load(&change->view, ctl);
    if (change->view.unusable)
        return ctl_say("%s", change->view.unusable);
    return change_with_lock(change, change_locked);
}

int ctl_change_hold(ctl_change_t *change)
{
    return change_with_lock(change, hold_locked);
}
