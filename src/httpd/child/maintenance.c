/* SPDX-License-Identifier: Apache-2.0 */
/* maintenance.c: what is to become of a request
 *
 * Asked twice: as soon as the <Location> is known, before anybody is asked who
 * he is (a client in maintenance may not see a 401), and again where Python
 * would start, or a worker would get the request. What weavectl says stands in
 * a file: a request's own thread looks at it when the last look is LOOK_US ago,
 * and others that come meanwhile wait for it, so that a request which is let in
 * goes by what was said LOOK_US ago at the most (weavectl waits longer than
 * that before it returns). While nobody says anything but "off", that is a few
 * loads and comparisons. */
#include "exchange.h"

#include <pthread.h>

#include <apr_strings.h>

#define LOOK_US 100000

static const char lb_heartbeat[] = "/__lbheartbeat__";

/* What this child knows of the file. */
static struct {
    pthread_mutex_t lock; /* of `known` */
    weave_known_t known;
    atomic_int is_set;         /* does any of it hold? */
    _Atomic apr_time_t looked; /* when the last look began */
} file = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* ---- the file ---- */

void mod_weave_maintenance_start(apr_pool_t *pchild, server_rec *s)
{
    const mod_weave_retained_t *data = mod_weave_retained_get();

    (void)pchild;
    (void)s;
    if (mod_weave_counters)
        mod_weave_counters_child = weave_counters_child(mod_weave_counters);
    if (!data)
        return;
    file.known = data->known;
    atomic_store(&file.is_set, weave_known_is_set(&file.known, apr_time_now()));
}

/* How long ago the last look began; a clock that was set back makes it very
 * long. */
static apr_uint64_t look_age(apr_time_t now)
{
    return (apr_uint64_t)(now - atomic_load_explicit(&file.looked,
                                                     memory_order_acquire));
}

static __attribute__((noinline)) void file_look(void)
{
    apr_time_t now;

    pthread_mutex_lock(&file.lock);
    now = apr_time_now();
    if (look_age(now) >= LOOK_US) {
        mod_weave_known_learn(&file.known);
        atomic_store(&file.is_set, weave_known_is_set(&file.known, now));
        atomic_store_explicit(&file.looked, now, memory_order_release);
    }
    pthread_mutex_unlock(&file.lock);
}

/* ---- the path below the mount ---- */

static const char *mount_path(request_rec *r, const mod_weave_mount_t *mount)
{
    return r->uri + mount->prefix_len;
}

static int is_lb_heartbeat(request_rec *r, const mod_weave_mount_t *mount)
{
    const char *path = mount_path(r, mount);

    /* hardly any other path has a '_' there */
    return *path && path[1] == '_' && r->method_number == M_GET &&
           !strcmp(path, lb_heartbeat);
}

/* ---- who may pass ---- */

/* The address that httpd has for the client: mod_remoteip's, where it is. */
static int is_allowed(request_rec *r, const weave_conf_t *conf)
{
    const apr_array_header_t *nets =
        weave_conf_list(conf, WEAVE_MAINTENANCE_ALLOW);
    int i;

    for (i = 0; i < nets->nelts; i++)
        if (weave_net_contains(APR_ARRAY_IDX(nets, i, const char *),
                               r->useragent_addr, r->pool))
            return 1;
    return 0;
}

/* ---- the verdict ---- */

/* Makes the verdict that of this very request. Of a drain: the first call of a
 * sync is refused, the others pass and are told to stay away afterwards. */
static void request_apply(mod_weave_verdict_t *verdict, request_rec *r,
                          const mod_weave_mount_t *mount,
                          const weave_conf_t *conf)
{
    int is_sync = mod_weave_is_sync(conf);

    if (verdict->mode == WEAVE_MAINTENANCE_DRAINING)
        verdict->mode = is_sync && weave_verdict_is_first_call(r->uri)
                            ? WEAVE_MAINTENANCE_ON
                            : WEAVE_MAINTENANCE_BACKOFF;
    /* load balancers come from where operators come from */
    if (verdict->mode == WEAVE_MAINTENANCE_ON &&
        !strcmp(mount_path(r, mount), weave_conf_heartbeat(conf)))
        return;
    if (is_allowed(r, conf) ||
        (verdict->mode == WEAVE_MAINTENANCE_BACKOFF && !is_sync))
        verdict->mode = WEAVE_MAINTENANCE_OFF;
}

static void switches_apply(mod_weave_verdict_t *verdict, request_rec *r,
                           const mod_weave_mount_t *mount,
                           const mod_weave_switch_t *directive,
                           const mod_weave_switch_t *key)
{
    const weave_conf_t *conf = mod_weave_conf_of(r, mount);
    apr_interval_time_t drain = weave_conf_int(conf, WEAVE_MAINTENANCE_DRAIN);
    apr_time_t now = apr_time_now();

    if (directive)
        weave_verdict_add(&verdict->all, &directive->setting, now, drain);
    if (key)
        weave_verdict_add(&verdict->all, &key->setting, now, drain);
    if (atomic_load(&file.is_set)) {
        pthread_mutex_lock(&file.lock);
        weave_known_add(&verdict->all, &file.known,
                        mount->app ? mount->app->ini : mount->ini, now, drain);
        pthread_mutex_unlock(&file.lock);
    }
    verdict->mode = verdict->all.mode;
    if (verdict->mode != WEAVE_MAINTENANCE_OFF)
        request_apply(verdict, r, mount, conf);
}

/* Does nobody say anything but "off"? So it is for nearly every request, and
 * the less memory it touches the better. */
static int is_quiet(request_rec *r, const mod_weave_mount_t *mount)
{
    const mod_weave_dir_t *dir =
        ap_get_module_config(r->per_dir_config, &weave_module);

    return !dir->directive && !dir->mode && !mount->mode &&
           !atomic_load_explicit(&file.is_set, memory_order_acquire);
}

/* Makes the verdict, and adds the headers of a backoff to the answer. */
static __attribute__((noinline)) void verdict_make(
    mod_weave_verdict_t *verdict, request_rec *r,
    const mod_weave_mount_t *mount)
{
    const mod_weave_dir_t *dir =
        ap_get_module_config(r->per_dir_config, &weave_module);

    memset(verdict, 0, sizeof(*verdict));
    if (!is_quiet(r, mount))
        switches_apply(verdict, r, mount, dir->directive,
                       dir->mode ? dir->mode : mount->mode);
    if (verdict->mode == WEAVE_MAINTENANCE_OFF &&
        mod_weave_is_shedding(mount) &&
        mod_weave_is_sync(mod_weave_conf_of(r, mount))) {
        verdict->mode = WEAVE_MAINTENANCE_BACKOFF;
        verdict->load = 1;
    }
    if (verdict->mode == WEAVE_MAINTENANCE_BACKOFF)
        mod_weave_backoff_add(r, mod_weave_conf_of(r, mount), verdict);
}

/* ---- asking ---- */

static __attribute__((noinline)) int request_check(
    request_rec *r, const mod_weave_mount_t *mount)
{
    mod_weave_verdict_t verdict;
    int rc;

    verdict_make(&verdict, r, mount);
    if (verdict.mode != WEAVE_MAINTENANCE_ON && !is_lb_heartbeat(r, mount))
        return DECLINED;
    /* whatever else there is to know about the request does not matter; but
     * its answer goes through the filters that are configured */
    r->handler = MOD_WEAVE_REFUSAL;
    apr_pool_userdata_setn(apr_pmemdup(r->pool, &verdict, sizeof(verdict)),
                           MOD_WEAVE_REFUSAL, NULL, r->pool);
    rc = ap_invoke_handler(r);
    return rc == OK ? DONE : rc;
}

/* The time at which the request has come is good enough to know when the file
 * is to be looked at: no clock is read for most of them. */
int mod_weave_maintenance_ask(request_rec *r)
{
    const mod_weave_mount_t *mount = mod_weave_mount_ours(r);

    if (!mount)
        return DECLINED;
    if (look_age(r->request_time) >= LOOK_US)
        file_look();
    if (is_quiet(r, mount) && !is_lb_heartbeat(r, mount) &&
        !mod_weave_is_shedding(mount))
        return DECLINED;
    return request_check(r, mount);
}

static void request_count(mod_weave_exchange_t *exchange)
{
    if (exchange->admitted)
        return;
    exchange->admitted = mod_weave_counters_admitted(exchange->mount);
    if (exchange->admitted)
        atomic_fetch_add(exchange->admitted, 1);
}

void mod_weave_maintenance_done(mod_weave_exchange_t *exchange)
{
    if (exchange->admitted)
        atomic_fetch_sub(exchange->admitted, 1);
    exchange->admitted = NULL;
}

static __attribute__((noinline)) int request_check_again(
    mod_weave_exchange_t *exchange)
{
    request_rec *r = exchange->r;
    mod_weave_verdict_t verdict;

    verdict_make(&verdict, r, exchange->mount);
    if (verdict.mode != WEAVE_MAINTENANCE_ON)
        return OK;
    mod_weave_maintenance_done(exchange);
    mod_weave_unavailable(r, exchange->conf, WEAVE_REFUSED_MAINTENANCE,
                          &verdict);
    return DONE;
}

/* Counts first: whoever has said `on`, and sees 0 after all children have had
 * to look at the file, knows that nothing of before runs. What is asked because
 * of load was asked the first time. */
int mod_weave_maintenance_again(mod_weave_exchange_t *exchange)
{
    request_count(exchange);
    if (look_age(apr_time_now()) >= LOOK_US)
        file_look();
    return is_quiet(exchange->r, exchange->mount)
               ? OK
               : request_check_again(exchange);
}

/* ---- answers in its place ---- */

int mod_weave_refuse(mod_weave_exchange_t *exchange, weave_refused_e kind,
                     const char *why)
{
    /* maintenance that has begun meanwhile has a time of its own */
    if (mod_weave_maintenance_again(exchange) != OK)
        return OK;
    ap_log_rerror(APLOG_MARK, APLOG_INFO, 0, exchange->r,
                  "answered 503: %s (request %s)", why,
                  mod_weave_request_id(exchange->r));
    return mod_weave_unavailable(exchange->r, exchange->conf, kind, NULL);
}

int mod_weave_body_refuse(mod_weave_exchange_t *exchange, int rc)
{
    if (rc == HTTP_SERVICE_UNAVAILABLE)
        return mod_weave_refuse(exchange, WEAVE_REFUSED_RESOURCES,
                                "its body cannot be spooled");
    if (exchange->in_problem == WEAVE_IO_GONE)
        return mod_weave_finish(exchange, WEAVE_RUN_GONE);
    exchange->r->connection->keepalive = AP_CONN_CLOSE;
    return exchange->taken_over ? AP_FILTER_ERROR : rc;
}

static int alive_answer(request_rec *r)
{
    static const char body[] = "{\"status\":\"ok\"}";

    apr_table_setn(r->headers_out, "Cache-Control", "no-store");
    ap_set_content_type(r, "application/json");
    ap_set_content_length(r, sizeof(body) - 1);
    ap_rwrite(body, sizeof(body) - 1, r);
    return OK;
}

/* Never the application, even where all is over by now: nobody was asked who
 * he is. */
int mod_weave_maintenance_refuse(request_rec *r)
{
    const mod_weave_mount_t *mount;
    void *verdict = NULL;

    if (!r->handler || strcmp(r->handler, MOD_WEAVE_REFUSAL) != 0)
        return DECLINED;
    mount = mod_weave_mount_of(r);
    if (!mount)
        return DECLINED;
    if (is_lb_heartbeat(r, mount))
        return alive_answer(r);
    apr_pool_userdata_get(&verdict, MOD_WEAVE_REFUSAL, r->pool);
    return mod_weave_unavailable(r, mod_weave_conf_of(r, mount),
                                 WEAVE_REFUSED_MAINTENANCE, verdict);
}
