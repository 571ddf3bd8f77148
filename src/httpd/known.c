/* SPDX-License-Identifier: Apache-2.0 */
/* known.c: learns what weavectl has said, and logs it
 *
 * weavectl has no log. So the first process of this httpd that sees a change
 * logs it, for all of them. */
#include "retain.h"

#include <apr_strings.h>
#include <http_main.h>

/* Returns what follows the mode. */
static const char *setting_details(const weave_maintenance_t *setting,
                                   apr_pool_t *pool)
{
    char until[APR_CTIME_LEN];

    if (!setting)
        return "";
    if (!setting->until_us)
        return apr_pstrcat(pool, " until it is taken back, by ", setting->by,
                           NULL);
    apr_ctime(until, setting->until_us);
    return apr_pstrcat(pool, " until ", until, ", by ", setting->by, NULL);
}

/* Logs what is said of INI (NULL: of all), where that is new to the log. */
static void setting_log(_Atomic int64_t *logged, const weave_known_t *known,
                        const char *ini, apr_pool_t *pool)
{
    const weave_maintenance_t *setting =
        weave_maintenance_find(known->entries, ini);
    apr_int64_t since = setting ? setting->since_us : 0;

    if (atomic_exchange(logged, since) == since ||
        (setting && setting->until_us && setting->until_us <= apr_time_now()))
        return;
    ap_log_error(APLOG_MARK, APLOG_NOTICE, 0, ap_server_conf,
                 "WEAVE0156: maintenance of %s: weavectl says %s%s",
                 ini ? ini : "all applications",
                 weave_maintenance_mode_name(setting ? setting->mode
                                                     : WEAVE_MAINTENANCE_OFF),
                 setting_details(setting, pool));
}

static void settings_log(const weave_known_t *known, apr_pool_t *pool)
{
    const apr_array_header_t *apps = mod_weave_apps.all;
    weave_counters_t *counters = mod_weave_counters;
    int i;

    if (!known->entries)
        return;
    setting_log(&counters->logged_since[0], known, NULL, pool);
    for (i = 0; i < apps->nelts; i++) {
        const mod_weave_app_t *app = APR_ARRAY_IDX(apps, i, mod_weave_app_t *);

        if (app->slot >= 0)
            setting_log(&counters->logged_since[1 + app->slot], known, app->ini,
                        pool);
    }
}

static void problem_log(const weave_known_t *known, const char *problem)
{
    if (known->on_us)
        ap_log_error(APLOG_MARK, APLOG_ERR, 0, ap_server_conf,
                     "WEAVE0152: %s; nobody knows what holds, so all"
                     " applications answer 503 until it is good again:"
                     " `weavectl maintenance off`, or `on`, says what is right",
                     problem);
    else
        ap_log_error(APLOG_MARK, APLOG_ERR, 0, ap_server_conf,
                     "WEAVE0151: %s; what `weavectl maintenance` has said"
                     " before stays as it is, until it says something else",
                     problem);
}

void mod_weave_known_learn(weave_known_t *known)
{
    weave_counters_t *counters = mod_weave_counters;
    const mod_weave_retained_t *data = mod_weave_retained_get();
    apr_uint64_t trouble = known->trouble;
    const char *problem;
    apr_pool_t *pool;

    if (!counters || !data || !data->known_dir ||
        apr_pool_create_unmanaged(&pool) != APR_SUCCESS)
        return;
    apr_pool_tag(pool, "weave_known");
    if (weave_known_learn(known, &problem, &counters->maintenance_seen,
                          data->known_dir, data->starter, pool)) {
        if (problem && atomic_exchange(&counters->problem_logged,
                                       known->trouble) != known->trouble)
            problem_log(known, problem);
        if (!known->trouble)
            settings_log(known, pool);
        if (!known->trouble && trouble)
            atomic_store(&counters->problem_logged, 0);
    }
    apr_pool_destroy(pool);
}
