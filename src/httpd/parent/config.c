/* SPDX-License-Identifier: Apache-2.0 */
/* config.c: the directives and how they merge */
#include "parent.h"

#include <stdlib.h>

#include <apr_strings.h>
#include <http_main.h>

void *mod_weave_server_create(apr_pool_t *pool, server_rec *s)
{
    mod_weave_server_t *conf = apr_pcalloc(pool, sizeof(*conf));

    (void)s;
    conf->mounts = apr_array_make(pool, 2, sizeof(mod_weave_mount_t *));
    conf->smooth = -1;
    return conf;
}

void *mod_weave_dir_create(apr_pool_t *pool, char *dir)
{
    (void)dir;
    return apr_pcalloc(pool, sizeof(mod_weave_dir_t));
}

static const mod_weave_mount_t *mount_find(const apr_array_header_t *mounts,
                                           const char *prefix)
{
    int i;

    for (i = 0; i < mounts->nelts; i++) {
        const mod_weave_mount_t *mount =
            APR_ARRAY_IDX(mounts, i, mod_weave_mount_t *);

        if (!strcmp(mount->prefix, prefix))
            return mount;
    }
    return NULL;
}

static int longest_first(const void *a, const void *b)
{
    const mod_weave_mount_t *x = *(mod_weave_mount_t *const *)a;
    const mod_weave_mount_t *y = *(mod_weave_mount_t *const *)b;

    return x->prefix_len < y->prefix_len   ? 1
           : x->prefix_len > y->prefix_len ? -1
                                           : 0;
}

static void mount_add(apr_array_header_t *mounts, mod_weave_mount_t *mount)
{
    APR_ARRAY_PUSH(mounts, mod_weave_mount_t *) = mount;
    qsort(mounts->elts, mounts->nelts, sizeof(mod_weave_mount_t *),
          longest_first);
}

static weave_conf_t *set_merge(apr_pool_t *pool, const weave_conf_t *base,
                               const weave_conf_t *over)
{
    if (!over || !base)
        return (weave_conf_t *)(over ? over : base);
    return weave_conf_merge(pool, base, over);
}

/* A virtual host serves what the server around it serves, as with Alias. */
void *mod_weave_server_merge(apr_pool_t *pool, void *base_, void *over_)
{
    mod_weave_server_t *base = base_, *over = over_;
    mod_weave_server_t *conf = mod_weave_server_create(pool, NULL);
    int i;

    for (i = 0; i < over->mounts->nelts; i++)
        mount_add(conf->mounts,
                  APR_ARRAY_IDX(over->mounts, i, mod_weave_mount_t *));
    for (i = 0; i < base->mounts->nelts; i++) {
        mod_weave_mount_t *mount =
            APR_ARRAY_IDX(base->mounts, i, mod_weave_mount_t *);

        if (!mount_find(over->mounts, mount->prefix))
            mount_add(conf->mounts, apr_pmemdup(pool, mount, sizeof(*mount)));
    }
    conf->set = set_merge(pool, base->set, over->set);
    return conf;
}

void *mod_weave_dir_merge(apr_pool_t *pool, void *base_, void *over_)
{
    mod_weave_dir_t *base = base_, *over = over_;
    mod_weave_dir_t *conf = apr_pcalloc(pool, sizeof(*conf));

    conf->set = set_merge(pool, base->set, over->set);
    /* nothing inside makes it less strict: `a2enconf weave-maintenance` is for
     * all that it is around */
    conf->directive =
        mod_weave_switch_stricter(base->directive, over->directive);
    conf->mode = over->mode ? over->mode : base->mode;
    return conf;
}

static int is_normal(apr_pool_t *pool, const char *prefix)
{
    char *path = apr_pstrdup(pool, prefix);

    return !strchr(prefix, '%') &&
           ap_normalize_path(path, AP_NORMALIZE_NOT_ABOVE_ROOT |
                                       AP_NORMALIZE_MERGE_SLASHES) &&
           !strcmp(path, prefix);
}

/* WeaveApp PREFIX INI */
const char *mod_weave_app_set(cmd_parms *cmd, void *dir, const char *prefix,
                              const char *ini)
{
    mod_weave_server_t *conf = mod_weave_server_get(cmd->server);
    mod_weave_mount_t *mount = apr_pcalloc(cmd->pool, sizeof(*mount));
    apr_size_t len = strlen(prefix);
    const mod_weave_mount_t *other;

    (void)dir;
    if (*prefix != '/')
        return apr_psprintf(cmd->pool,
                            "WeaveApp: the mount point must start with /,"
                            " not be %s",
                            prefix);
    if (!is_normal(cmd->pool, prefix))
        return apr_psprintf(cmd->pool,
                            "WeaveApp: no URL has the path %s once httpd has"
                            " decoded it: write it without %%xx, // and"
                            " dot segments",
                            prefix);
    while (len && prefix[len - 1] == '/')
        len--;
    mount->prefix = apr_pstrmemdup(cmd->pool, prefix, len);
    mount->prefix_len = len;
    mount->ini = ap_server_root_relative(cmd->pool, ini);
    mount->file = cmd->directive->filename;
    mount->line = cmd->directive->line_num;
    if (!mount->ini)
        return apr_psprintf(cmd->pool, "WeaveApp: %s is no path", ini);
    other = mount_find(conf->mounts, mount->prefix);
    if (other)
        return apr_psprintf(cmd->pool,
                            "WeaveApp: %s is mounted already, at"
                            " %s:%d",
                            prefix, other->file, other->line);
    mount_add(conf->mounts, mount);
    return NULL;
}

static weave_conf_t *set_get(cmd_parms *cmd, void *dir)
{
    mod_weave_dir_t *dir_conf = dir;
    mod_weave_server_t *server = mod_weave_server_get(cmd->server);

    if (cmd->path) {
        if (!dir_conf->set)
            dir_conf->set = weave_conf_make(cmd->pool);
        return (weave_conf_t *)dir_conf->set;
    }
    if (!server->set)
        server->set = weave_conf_make(cmd->pool);
    return server->set;
}

/* WeaveSet KEY VALUE */
const char *mod_weave_set_set(cmd_parms *cmd, void *dir, const char *key,
                              const char *value)
{
    const char *problem =
        ap_check_cmd_context(cmd, NOT_IN_DIR_CONTEXT & ~NOT_IN_LOCATION);
    weave_conf_t *set;

    /* of an application there are no files: httpd looks at <Location> */
    if (problem)
        return problem;
    set = set_get(cmd, dir);
    problem = weave_conf_set(set, key, value, cmd->path != NULL,
                             cmd->directive->filename, cmd->directive->line_num,
                             cmd->pool);
    if (problem)
        return apr_pstrcat(cmd->pool, "WeaveSet: ", problem, NULL);
    if (cmd->path &&
        !ap_cstr_casecmp(key, weave_key_get(WEAVE_MAINTENANCE_MODE)->full))
        mod_weave_switch_replace(&((mod_weave_dir_t *)dir)->mode, cmd, set);
    return NULL;
}

static const char *folder_set(cmd_parms *cmd, const char **place,
                              const char *path)
{
    const char *problem = ap_check_cmd_context(cmd, GLOBAL_ONLY);

    if (problem)
        return problem;
    *place = path;
    return path ? NULL
                : apr_pstrcat(cmd->pool, cmd->cmd->name, ": this is no path",
                              NULL);
}

const char *mod_weave_runtime_dir_set(cmd_parms *cmd, void *dir,
                                      const char *path)
{
    (void)dir;
    return folder_set(cmd, &mod_weave_server_get(cmd->server)->runtime_dir,
                      ap_runtime_dir_relative(cmd->pool, path));
}

const char *mod_weave_state_dir_set(cmd_parms *cmd, void *dir, const char *path)
{
    (void)dir;
    return folder_set(cmd, &mod_weave_server_get(cmd->server)->state_dir,
                      ap_server_root_relative(cmd->pool, path));
}

const char *mod_weave_smooth_set(cmd_parms *cmd, void *dir, int on)
{
    (void)dir;
    mod_weave_server_get(cmd->server)->smooth = on;
    return ap_check_cmd_context(cmd, GLOBAL_ONLY);
}

const char *mod_weave_runtime_dir(void)
{
    const char *path = mod_weave_server_get(ap_server_conf)->runtime_dir;

    return path ? path : MOD_WEAVE_RUNTIME_DIR;
}

const char *mod_weave_state_dir(void)
{
    const char *path = mod_weave_server_get(ap_server_conf)->state_dir;

    return path ? path : WEAVE_STATE_DIR;
}
