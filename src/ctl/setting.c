/* SPDX-License-Identifier: Apache-2.0 */
/* setting.c: reads what the command line of `weavectl maintenance` sets */
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <apr_strings.h>
#include <apr_time.h>

#include "change.h"
#include "say.h"
#include "weave_utf8.h"

/* Reads a duration of at least 1 s; *us is 0 where TEXT is NULL. Returns an
 * exit status. */
static int duration_read(int64_t *us, const char *option, const char *text,
                         int64_t max_s, apr_pool_t *pool)
{
    const weave_key_t key = {.type = WEAVE_TYPE_DURATION,
                             .min = APR_USEC_PER_SEC,
                             .max = apr_time_from_sec(max_s)};
    apr_array_header_t *items = apr_array_make(pool, 1, sizeof(char *));
    weave_key_value_t value;
    const char *problem;

    *us = 0;
    if (!text)
        return CTL_DONE;
    APR_ARRAY_PUSH(items, const char *) = text;
    problem = weave_key_parse(&value, &key, items, pool);
    if (problem)
        return ctl_refuse("%s: %s", option, problem);
    *us = value.num;
    return CTL_DONE;
}

/* Writes who gives the command; only the name of the user of sudo is cut. */
static void operator_read(weave_maintenance_t *setting, apr_pool_t *pool)
{
    const struct passwd *user = getpwuid(getuid());
    const char *sudo = getenv("SUDO_USER");
    const char *name = user && weave_utf8_is_sentence(user->pw_name)
                           ? user->pw_name
                           : apr_psprintf(pool, "uid %ld", (long)getuid());
    size_t used = strlen(name) + strlen(" ( via sudo)") + 1;

    if (sudo && *sudo && weave_utf8_is_sentence(sudo) &&
        used < sizeof(setting->by))
        name = apr_psprintf(
            pool, "%s (%.*s via sudo)", name,
            (int)weave_utf8_cut(sudo, sizeof(setting->by) - used), sudo);
    apr_cpystrn(setting->by, name,
                weave_utf8_cut(name, sizeof(setting->by) - 1) + 1);
}

static int message_read(weave_maintenance_t *setting, const char *text)
{
    if (!weave_utf8_is_sentence(text))
        return ctl_refuse("--message: must be UTF-8 on one line, without "
                          "control characters");
    if (strlen(text) >= sizeof(setting->message))
        return ctl_refuse("--message: has %lu bytes; %lu are allowed",
                          (unsigned long)strlen(text),
                          (unsigned long)sizeof(setting->message) - 1);
    apr_cpystrn(setting->message, text, sizeof(setting->message));
    return CTL_DONE;
}

/* Finds the mode, and refuses the options that it does not take. */
static int mode_read(weave_maintenance_t *setting, const ctl_t *ctl)
{
    int mode = weave_maintenance_mode_find(ctl->mode);

    if (mode < 0)
        return ctl_refuse(
            "there is no mode '%s': one of on, drain, backoff, off comes "
            "first, then the INI. Without one, `weavectl maintenance` "
            "shows what is in force; with -i INI, for that one",
            ctl->mode);
    if (mode == WEAVE_MAINTENANCE_BACKOFF && ctl->message)
        return ctl_refuse("backoff takes no --message: nobody would see it, "
                          "because clients get their answers");
    if (mode == WEAVE_MAINTENANCE_OFF &&
        (ctl->lasts || ctl->retry_after || ctl->message))
        return ctl_refuse("off takes no --for, --retry-after or --message");
    if (mode < WEAVE_MAINTENANCE_DRAINING && ctl->wait)
        return ctl_refuse("%s takes no --wait: requests go on", ctl->mode);
    setting->mode = (uint32_t)mode;
    return CTL_DONE;
}

int ctl_change_read(ctl_change_t *change)
{
    const ctl_t *ctl = change->ctl;
    weave_maintenance_t *setting = &change->setting;
    int64_t lasts_us, retry_us;
    int rc = mode_read(setting, ctl);

    if (rc == CTL_DONE)
        rc = duration_read(&lasts_us, "--for", ctl->lasts,
                           WEAVE_MAINTENANCE_FOR_MAX, ctl->pool);
    if (rc == CTL_DONE)
        rc = duration_read(&retry_us, "--retry-after", ctl->retry_after,
                           WEAVE_MAINTENANCE_RETRY_MAX, ctl->pool);
    if (rc == CTL_DONE)
        rc = duration_read(&change->wait_us, "--wait", ctl->wait,
                           WEAVE_MAINTENANCE_FOR_MAX, ctl->pool);
    if (rc == CTL_DONE && ctl->message)
        rc = message_read(setting, ctl->message);
    if (rc != CTL_DONE)
        return rc;
    setting->retry_after_s =
        (uint32_t)((retry_us + APR_USEC_PER_SEC - 1) / APR_USEC_PER_SEC);
    setting->since_us = apr_time_now();
    setting->until_us = lasts_us ? setting->since_us + lasts_us : 0;
    operator_read(setting, ctl->pool);
    return CTL_DONE;
}
