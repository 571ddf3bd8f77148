/* SPDX-License-Identifier: Apache-2.0 */
/* maintenance.c: what is to become of a request
 *
 * Asked twice: as soon as the <Location> is known, before anybody is asked who
 * he is (a client in maintenance may not see a 401), and again where Python
 * would start. While nobody says anything but "off", that is two loads from
 * shared memory and a few comparisons. */
#include "exchange.h"

#include <apr_strings.h>

static const char lb_heartbeat[] = "/__lbheartbeat__";
/* the first call of each sync */
static const char first_call[] = "/info/collections";

/* ---- the path below the mount ---- */

static const char *path_of(request_rec *r, const mod_weave_mount_t *mount)
{
    return r->uri + mount->prefix_len;
}

static int is_lb_heartbeat(request_rec *r, const mod_weave_mount_t *mount)
{
    const char *path = path_of(r, mount);

    /* hardly any other path has a '_' there */
    return *path && path[1] == '_' && r->method_number == M_GET &&
           !strcmp(path, lb_heartbeat);
}

/* Is what ends at LEN a version of the storage API? LEN: without it. */
static int ends_in_version(const char *path, apr_size_t *len)
{
    static const char *const versions[] = {"/1", "/1.0", "/1.1", "/1.5"};
    apr_size_t i, size;

    for (i = 0; i < sizeof(versions) / sizeof(*versions); i++) {
        size = strlen(versions[i]);
        if (size <= *len && !strncmp(path + *len - size, versions[i], size)) {
            *len -= size;
            return 1;
        }
    }
    return 0;
}

/* Whatever is in front: applications have prefixes of their own, and mounts
 * may have the version or the user. But below VERSION/USER/storage it is an
 * item of a collection that is named so; below VERSION/storage it is the call
 * of a user of that name. (Users of 1.5 are numbers.) */
static int is_first_call(const char *uri)
{
    static const char storage[] = "/storage";
    apr_size_t len = strlen(uri), want = sizeof(first_call) - 1;
    apr_size_t item = sizeof(storage) - 1;

    while (len && uri[len - 1] == '/')
        len--;
    if (len < want || strncmp(uri + len - want, first_call, want) != 0)
        return 0;
    len -= want;
    if (len < item || strncmp(uri + len - item, storage, item) != 0)
        return 1;
    len -= item;
    return !len || (ends_in_version(uri, &len) && !ends_in_version(uri, &len));
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

static void consider(mod_weave_verdict_t *verdict,
                     const weave_maintenance_t *word, apr_time_t now,
                     apr_interval_time_t drain)
{
    apr_uint32_t mode = weave_maintenance_mode_at(word, now, drain);

    if (mode == WEAVE_MAINTENANCE_OFF)
        return;
    if (*word->message && mode > verdict->message_mode) {
        verdict->message_mode = mode;
        apr_cpystrn(verdict->message, word->message, sizeof(verdict->message));
    }
    if (mode > verdict->mode ||
        (mode == verdict->mode &&
         weave_maintenance_is_more(word, &verdict->word))) {
        verdict->mode = mode;
        verdict->word = *word;
    }
}

static void consider_row(mod_weave_verdict_t *verdict, apr_uint32_t row,
                         apr_time_t now, apr_interval_time_t drain)
{
    const weave_maintenance_board_t *board = mod_weave_board();
    weave_maintenance_t word;

    if (!board ||
        atomic_load_explicit(&board->rows[row].mode, memory_order_relaxed) ==
            WEAVE_MAINTENANCE_OFF)
        return;
    weave_maintenance_row_get(&word, board, row);
    consider(verdict, &word, now, drain);
}

/* What the strictest word makes of this very request. Of a drain: the first
 * call of a sync is refused, the others pass and are told to stay away
 * afterwards. */
static void narrow(mod_weave_verdict_t *verdict, request_rec *r,
                   const mod_weave_mount_t *mount, const weave_conf_t *conf)
{
    const char *path = path_of(r, mount);
    int is_sync = mod_weave_is_sync(conf);

    if (verdict->mode == WEAVE_MAINTENANCE_DRAINING)
        verdict->mode = is_sync && is_first_call(r->uri)
                            ? WEAVE_MAINTENANCE_ON
                            : WEAVE_MAINTENANCE_BACKOFF;
    /* load balancers come from where operators come from */
    if (verdict->mode == WEAVE_MAINTENANCE_ON &&
        !strcmp(path, weave_conf_heartbeat(conf)))
        return;
    if (is_allowed(r, conf) ||
        (verdict->mode == WEAVE_MAINTENANCE_BACKOFF && !is_sync))
        verdict->mode = WEAVE_MAINTENANCE_OFF;
}

static const weave_conf_t *conf_for(request_rec *r,
                                    const mod_weave_mount_t *mount)
{
    return mount->conf ? mod_weave_conf_of(r, mount) : weave_conf_make(r->pool);
}

static void weigh(mod_weave_verdict_t *verdict, request_rec *r,
                  const mod_weave_mount_t *mount,
                  const mod_weave_switch_t *directive,
                  const mod_weave_switch_t *key)
{
    const weave_conf_t *conf = conf_for(r, mount);
    apr_interval_time_t drain = weave_conf_int(conf, WEAVE_MAINTENANCE_DRAIN);
    apr_time_t now = apr_time_now();

    if (directive)
        consider(verdict, &directive->setting, now, drain);
    if (key)
        consider(verdict, &key->setting, now, drain);
    consider_row(verdict, WEAVE_MAINTENANCE_ALL, now, drain);
    if (mount->place >= 0)
        consider_row(verdict, (apr_uint32_t)mount->place + 1, now, drain);
    if (verdict->mode != WEAVE_MAINTENANCE_OFF)
        narrow(verdict, r, mount, conf);
}

/* Does weavectl say something? */
static int is_said(const weave_maintenance_board_t *board, int place)
{
    return atomic_load_explicit(&board->rows[WEAVE_MAINTENANCE_ALL].mode,
                                memory_order_relaxed) !=
               WEAVE_MAINTENANCE_OFF ||
           (place >= 0 && atomic_load_explicit(&board->rows[place + 1].mode,
                                               memory_order_relaxed) !=
                              WEAVE_MAINTENANCE_OFF);
}

/* Does nobody say anything but "off"? So it is for nearly every request, and
 * the less memory it touches the better. */
static int is_quiet(request_rec *r, const mod_weave_mount_t *mount)
{
    const mod_weave_dir_t *dir =
        ap_get_module_config(r->per_dir_config, &weave_module);
    const weave_maintenance_board_t *board = mod_weave_board();

    return !dir->directive && !dir->mode && !mount->mode &&
           !(board && is_said(board, mount->place));
}

/* Logs a change, where this child is the first to see it. */
static void change_announce(void)
{
    const weave_maintenance_board_t *board = mod_weave_board();

    if (board)
        mod_weave_announce(
            atomic_load_explicit(&board->epoch, memory_order_acquire));
}

static __attribute__((noinline)) void decide(mod_weave_verdict_t *verdict,
                                             request_rec *r,
                                             const mod_weave_mount_t *mount)
{
    const mod_weave_dir_t *dir =
        ap_get_module_config(r->per_dir_config, &weave_module);

    memset(verdict, 0, sizeof(*verdict));
    change_announce();
    if (!is_quiet(r, mount))
        weigh(verdict, r, mount, dir->directive,
              dir->mode ? dir->mode : mount->mode);
    if (verdict->mode == WEAVE_MAINTENANCE_OFF &&
        mod_weave_is_shedding(mount) && mod_weave_is_sync(conf_for(r, mount))) {
        verdict->mode = WEAVE_MAINTENANCE_BACKOFF;
        verdict->load = 1;
    }
}

/* ---- asking ---- */

static __attribute__((noinline)) int ask(request_rec *r,
                                         const mod_weave_mount_t *mount)
{
    mod_weave_verdict_t verdict;
    int rc;

    decide(&verdict, r, mount);
    if (verdict.mode == WEAVE_MAINTENANCE_BACKOFF)
        mod_weave_backoff_add(r, conf_for(r, mount), &verdict);
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

int mod_weave_maintenance_ask(request_rec *r)
{
    const mod_weave_mount_t *mount = mod_weave_mount_ours(r);

    if (!mount)
        return DECLINED;
    change_announce();
    if (is_quiet(r, mount) && !is_lb_heartbeat(r, mount) &&
        !mod_weave_is_shedding(mount))
        return DECLINED;
    return ask(r, mount);
}

static __attribute__((noinline)) int ask_again(mod_weave_exchange_t *exchange)
{
    request_rec *r = exchange->r;
    mod_weave_verdict_t verdict;

    decide(&verdict, r, exchange->mount);
    if (verdict.mode == WEAVE_MAINTENANCE_BACKOFF)
        mod_weave_backoff_add(r, exchange->conf, &verdict);
    if (verdict.mode != WEAVE_MAINTENANCE_ON)
        return OK;
    mod_weave_unavailable(r, exchange->conf, WEAVE_REFUSED_MAINTENANCE,
                          &verdict);
    return DONE;
}

/* What is asked because of load was asked the first time. */
int mod_weave_maintenance_again(mod_weave_exchange_t *exchange)
{
    change_announce();
    return is_quiet(exchange->r, exchange->mount) ? OK : ask_again(exchange);
}

/* ---- what is answered in the application's place ---- */

static int alive(request_rec *r)
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
        return alive(r);
    apr_pool_userdata_get(&verdict, MOD_WEAVE_REFUSAL, r->pool);
    return mod_weave_unavailable(r, conf_for(r, mount),
                                 WEAVE_REFUSED_MAINTENANCE, verdict);
}
