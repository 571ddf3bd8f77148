/* SPDX-License-Identifier: Apache-2.0 */
/* setting.c: reads what the command line of `weavectl maintenance` sets */
#include "setting.h"

#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <apr_strings.h>
#include <apr_time.h>

#include "say.h"
#include "weave_keys.h"
#include "weave_utf8.h"

static int option_refuse(const char *option, const char *text)
{
    ctl_say("%s: %s", option, text);
    return CTL_USAGE;
}

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
        return option_refuse(option, problem);
    *us = value.num;
    return CTL_DONE;
}

/* Copies as many whole characters of TEXT as there is room for. */
static void text_copy(char *to, size_t room, const char *text)
{
    const char *end = text + strlen(text);
    size_t used = 0;
    int bytes;

    for (; text < end; text += bytes, used += (size_t)bytes) {
        bytes = weave_utf8_next(text, end, NULL);
        if (!bytes || used + (size_t)bytes >= room)
            break;
        memcpy(to + used, text, (size_t)bytes);
    }
    to[used] = '\0';
}

/* Returns who gives the command, in at most ROOM bytes with the NUL;
 * only the name of the user of sudo is cut. */
static const char *operator_get(size_t room, apr_pool_t *pool)
{
    static const char format[] = "%s (%s via sudo)";

    const struct passwd *user = getpwuid(getuid());
    const char *name =
        user ? user->pw_name : apr_psprintf(pool, "uid %ld", (long)getuid());
    const char *sudo = getenv("SUDO_USER");

    size_t used = strlen(name) + sizeof(format) - sizeof("%s%s") + 1;
    char *cut;

    if (!sudo || !*sudo || !weave_utf8_is_sentence(sudo) || used >= room)
        return name;
    cut = apr_palloc(pool, room);
    text_copy(cut, room - used + 1, sudo);
    return apr_psprintf(pool, format, name, cut);
}

static int message_read(weave_maintenance_t *setting, const char *text)
{
    if (!weave_utf8_is_sentence(text))
        return option_refuse("--message",
                             "must be UTF-8 on one line, without control "
                             "characters");
    if (strlen(text) >= sizeof(setting->message)) {
        ctl_say("--message: has %lu bytes; %lu are allowed",
                (unsigned long)strlen(text),
                (unsigned long)sizeof(setting->message) - 1);
        return CTL_USAGE;
    }
    text_copy(setting->message, sizeof(setting->message), text);
    return CTL_DONE;
}

int ctl_setting_read(weave_maintenance_t *setting, int64_t *wait_us,
                     const ctl_t *ctl)
{
    int mode = weave_maintenance_mode_find(ctl->mode);
    int64_t lasts_us, retry_us;
    int rc;

    memset(setting, 0, sizeof(*setting));
    if (mode < 0) {
        ctl_say("there is no mode '%s': one of on, drain, backoff, off comes "
                "first, then the INI. Without one, `weavectl maintenance` "
                "shows what is in force; with -i INI, for that one",
                ctl->mode);
        return CTL_USAGE;
    }
    if (mode == WEAVE_MAINTENANCE_BACKOFF && ctl->message) {
        ctl_say("backoff takes no --message: nobody would see it, because "
                "clients get their answers");
        return CTL_USAGE;
    }
    if (mode == WEAVE_MAINTENANCE_OFF &&
        (ctl->lasts || ctl->retry_after || ctl->message)) {
        ctl_say("off takes no --for, --retry-after or --message");
        return CTL_USAGE;
    }
    if (mode < WEAVE_MAINTENANCE_DRAINING && ctl->wait) {
        ctl_say("%s takes no --wait: requests go on", ctl->mode);
        return CTL_USAGE;
    }
    rc = duration_read(&lasts_us, "--for", ctl->lasts,
                       WEAVE_MAINTENANCE_FOR_MAX, ctl->pool);
    if (rc == CTL_DONE)
        rc = duration_read(&retry_us, "--retry-after", ctl->retry_after,
                           WEAVE_MAINTENANCE_RETRY_MAX, ctl->pool);
    if (rc == CTL_DONE)
        rc = duration_read(wait_us, "--wait", ctl->wait,
                           WEAVE_MAINTENANCE_FOR_MAX, ctl->pool);
    if (rc == CTL_DONE && ctl->message)
        rc = message_read(setting, ctl->message);
    if (rc != CTL_DONE)
        return rc;
    setting->mode = (uint32_t)mode;
    setting->retry_after_s =
        (uint32_t)((retry_us + APR_USEC_PER_SEC - 1) / APR_USEC_PER_SEC);
    setting->since_us = apr_time_now();
    setting->until_us = lasts_us ? setting->since_us + lasts_us : 0;
    text_copy(setting->by, sizeof(setting->by),
              operator_get(sizeof(setting->by), ctl->pool));
    return CTL_DONE;
}
