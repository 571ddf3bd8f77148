/* SPDX-License-Identifier: Apache-2.0 */
/* word.c: what the command line of weavectl maintenance says */
#include "view.h"

#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <apr_strings.h>
#include <apr_time.h>

#include "weave_keys.h"
#include "weave_utf8.h"

static int wrong(const char *option, const char *text)
{
    ctl_say("%s: %s", option, text);
    return CTL_USAGE;
}

/* A duration of at least 1 s, in microseconds; 0 where there is none. */
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
        return wrong(option, problem);
    *us = value.num;
    return CTL_DONE;
}

/* As much of TEXT as there is room for, in whole characters. */
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

/* ROOM: with the NUL; a name that is too long is cut, and nothing else. */
static const char *who(size_t room, apr_pool_t *pool)
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

static int message_read(weave_maintenance_t *word, const char *text)
{
    if (!weave_utf8_is_sentence(text))
        return wrong("--message", "must be UTF-8 on one line, without control "
                                  "characters");
    if (strlen(text) >= sizeof(word->message)) {
        ctl_say("--message: has %lu bytes; %lu are allowed",
                (unsigned long)strlen(text),
                (unsigned long)sizeof(word->message) - 1);
        return CTL_USAGE;
    }
    text_copy(word->message, sizeof(word->message), text);
    return CTL_DONE;
}

int ctl_word_read(weave_maintenance_t *word, int64_t *wait_us, const ctl_t *ctl)
{
    int mode = weave_maintenance_mode_find(ctl->mode);
    int64_t lasts_us, retry_us;
    int rc;

    memset(word, 0, sizeof(*word));
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
        rc = message_read(word, ctl->message);
    if (rc != CTL_DONE)
        return rc;
    word->mode = (uint32_t)mode;
    word->retry_after_s =
        (uint32_t)((retry_us + APR_USEC_PER_SEC - 1) / APR_USEC_PER_SEC);
    word->since_us = apr_time_now();
    word->until_us = lasts_us ? word->since_us + lasts_us : 0;
    text_copy(word->by, sizeof(word->by), who(sizeof(word->by), ctl->pool));
    return CTL_DONE;
}
