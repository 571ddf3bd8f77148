/* SPDX-License-Identifier: Apache-2.0 */
/* mod_weave.c: the module record: hooks and the directive table */
#include "child/exchange.h"
#include "parent/parent.h"

#include <mpm_common.h>

/* outside of virtual hosts: see only_global() in config.c */
#define ONLY_GLOBAL RSRC_CONF

static const command_rec directives[] = {
    AP_INIT_TAKE2("WeaveApp", mod_weave_app_set, NULL, RSRC_CONF,
                  "a mount point and the sync.ini of the application there"),
    AP_INIT_TAKE2("WeaveSet", mod_weave_set_set, NULL, RSRC_CONF | ACCESS_CONF,
                  "a key of sync.ini and the value it has here"),
    AP_INIT_TAKE1("WeaveRuntimeDir", mod_weave_runtime_dir_set, NULL,
                  ONLY_GLOBAL,
                  "the folder for the sockets of worker processes"),
    AP_INIT_TAKE1("WeaveStateDir", mod_weave_state_dir_set, NULL, ONLY_GLOBAL,
                  "the folder of what must last, such as maintenance"),
    AP_INIT_TAKE1(
        "WeaveMaintenance", mod_weave_maintenance_set, NULL,
        RSRC_CONF | ACCESS_CONF,
        "Off, Backoff, Drain or On: the strictest that is said holds"),
    AP_INIT_FLAG("WeaveSmoothGraceful", mod_weave_smooth_set, NULL, ONLY_GLOBAL,
                 "whether `graceful` starts new children without a pause"),
    {0}};

static void register_hooks(apr_pool_t *pool)
{
    /* an Alias, or a rewrite to a file, wins: static files */
    static const char *const after[] = {"mod_alias.c", "mod_rewrite.c", NULL};
    /* these find a file for nearly every path */
    static const char *const before[] = {"mod_userdir.c", "mod_vhost_alias.c",
                                         NULL};

    (void)pool;
    mod_weave_vars_init();
    mod_weave_answer_init();
    mod_weave_keepalive_init();
    ap_hook_check_config(mod_weave_check_config, NULL, NULL, APR_HOOK_MIDDLE);
    /* the last: by then SERVER_SOFTWARE has all its parts */
    ap_hook_post_config(mod_weave_post_config, NULL, NULL, APR_HOOK_LAST);
    ap_hook_monitor(mod_weave_supervise_monitor, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_child_status(mod_weave_smooth_status, NULL, NULL, APR_HOOK_MIDDLE);
    /* before Python's thread can see what only the parent may have */
    ap_hook_child_init(mod_weave_supervise_child, NULL, NULL,
                       APR_HOOK_REALLY_FIRST - 1);
    ap_hook_child_init(mod_weave_maintenance_start, NULL, NULL,
                       APR_HOOK_REALLY_FIRST - 1);
    ap_hook_child_init(mod_weave_backend_start, NULL, NULL,
                       APR_HOOK_REALLY_FIRST);
    ap_hook_child_init(mod_weave_keepalive_start, NULL, NULL, APR_HOOK_MIDDLE);
    /* first to register is last to be cleaned up; and threads of other modules
     * get the larger stacks */
    ap_hook_child_init(mod_weave_embedded_start, NULL, NULL,
                       APR_HOOK_REALLY_FIRST);
    /* what all modules have opened by then is not the application's */
    ap_hook_child_init(mod_weave_embedded_python, NULL, NULL,
                       APR_HOOK_REALLY_LAST);
    ap_hook_child_stopping(mod_weave_embedded_stopping, NULL, NULL,
                           APR_HOOK_MIDDLE);
    ap_hook_quick_handler(mod_weave_quick_handler, NULL, NULL,
                          APR_HOOK_REALLY_FIRST);
    ap_hook_translate_name(mod_weave_translate_name, after, before,
                           APR_HOOK_MIDDLE);
    ap_hook_map_to_storage(mod_weave_map_to_storage, NULL, NULL,
                           APR_HOOK_FIRST);
    ap_hook_header_parser(mod_weave_maintenance_ask, NULL, NULL,
                          APR_HOOK_MIDDLE);
    ap_hook_fixups(mod_weave_fixups, NULL, NULL, APR_HOOK_FIRST);
    ap_hook_handler(mod_weave_handler, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_handler(mod_weave_maintenance_refuse, NULL, NULL, APR_HOOK_MIDDLE);
}

/* AP_DECLARE_MODULE would say APLOG_USE_MODULE a second time */
module weave_module = {
    STANDARD20_MODULE_STUFF, mod_weave_dir_create,
    mod_weave_dir_merge,     mod_weave_server_create,
    mod_weave_server_merge,  directives,
    register_hooks,          0,
};
