/* SPDX-License-Identifier: Apache-2.0 */
/* groups.c: which mounts belong to one application
 *
 * An application is the path of its sync.ini as WeaveApp writes it, so that
 * nothing about it changes when a link on the way leads to another release.
 * Two paths of one file are two applications in worker processes; embedded,
 * where there is room for one, they are one. */

#include "parent.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <apr_strings.h>

static mod_weave_group_t *group_make(const char *ini,
                                     const mod_weave_check_t *proto)
{
    mod_weave_group_t *group = apr_pcalloc(proto->pconf, sizeof(*group));
    char *real = realpath(ini, NULL);
    struct stat status;

    group->check = *proto;
    group->check.ini = ini;
    group->check.ini_real = real ? apr_pstrdup(proto->pconf, real) : ini;
    if (real && stat(real, &status) == 0) {
        group->dev = status.st_dev;
        group->ino = status.st_ino;
    }
    free(real);
    group->check.mounts = apr_array_make(proto->pconf, 4, sizeof(void *));
    group->check.other_mounts = apr_array_make(proto->pconf, 1, sizeof(void *));
    return group;
}

static mod_weave_group_t *group_need(apr_array_header_t *groups,
                                     const char *ini,
                                     const mod_weave_check_t *proto)
{
    mod_weave_group_t *group;
    int i;

    for (i = 0; i < groups->nelts; i++) {
        group = APR_ARRAY_IDX(groups, i, mod_weave_group_t *);
        if (!strcmp(group->check.ini, ini))
            return group;
    }
    group = group_make(ini, proto);
    APR_ARRAY_PUSH(groups, mod_weave_group_t *) = group;
    return group;
}

int mod_weave_group_is_same_file(const mod_weave_group_t *a,
                                 const mod_weave_group_t *b)
{
    return a != b && a->ino && a->ino == b->ino && a->dev == b->dev;
}

const mod_weave_mount_t *mod_weave_group_first(const mod_weave_group_t *group)
{
    return APR_ARRAY_IDX(group->check.mounts, 0, mod_weave_mount_t *);
}

/* What runs already comes first, then the order of httpd.conf: embedded mode
 * has room for one. */
static int groups_compare(const void *a, const void *b)
{
    const mod_weave_group_t *x = *(mod_weave_group_t *const *)a,
                            *y = *(mod_weave_group_t *const *)b;
    const mod_weave_mount_t *one = mod_weave_group_first(x),
                            *other = mod_weave_group_first(y);
    int rc = mod_weave_retained_is_embedded(y->check.ini) -
             mod_weave_retained_is_embedded(x->check.ini);

    if (!rc)
        rc = strcmp(one->file, other->file);
    return rc ? rc : one->line - other->line;
}

apr_array_header_t *mod_weave_groups_collect(const mod_weave_check_t *proto)
{
    apr_array_header_t *groups =
        apr_array_make(proto->ptemp, 4, sizeof(mod_weave_group_t *));
    server_rec *s;
    int i;

    for (s = proto->s; s; s = s->next) {
        mod_weave_server_t *conf = mod_weave_server_get(s);

        for (i = 0; i < conf->mounts->nelts; i++) {
            mod_weave_mount_t *mount =
                APR_ARRAY_IDX(conf->mounts, i, mod_weave_mount_t *);
            mod_weave_group_t *group = group_need(groups, mount->ini, proto);

            APR_ARRAY_PUSH(group->check.mounts, mod_weave_mount_t *) = mount;
            mount->set = conf->set;
        }
    }
    qsort(groups->elts, groups->nelts, sizeof(mod_weave_group_t *),
          groups_compare);
    return groups;
}

void mod_weave_group_offer(mod_weave_group_t *group,
                           const apr_array_header_t *groups, int i)
{
    for (i++; i < groups->nelts; i++) {
        const mod_weave_group_t *other =
            APR_ARRAY_IDX(groups, i, mod_weave_group_t *);

        if (!mod_weave_group_is_same_file(group, other))
            continue;
        apr_array_cat(group->check.other_mounts, other->check.mounts);
    }
}

static int has_mount(const mod_weave_group_t *group,
                     const mod_weave_mount_t *mount)
{
    int i;

    for (i = 0; i < group->check.mounts->nelts; i++)
        if (APR_ARRAY_IDX(group->check.mounts, i, mod_weave_mount_t *) == mount)
            return 1;
    return 0;
}

void mod_weave_groups_leave(const mod_weave_group_t *group,
                            const apr_array_header_t *groups, int i)
{
    for (i++; i < groups->nelts; i++) {
        mod_weave_group_t *other =
            APR_ARRAY_IDX(groups, i, mod_weave_group_t *);
        apr_array_header_t *mounts = other->check.mounts;
        int j, kept = 0;

        if (!mod_weave_group_is_same_file(group, other))
            continue;
        for (j = 0; j < mounts->nelts; j++) {
            mod_weave_mount_t *mount =
                APR_ARRAY_IDX(mounts, j, mod_weave_mount_t *);

            if (!has_mount(group, mount))
                APR_ARRAY_IDX(mounts, kept++, mod_weave_mount_t *) = mount;
        }
        mounts->nelts = kept;
    }
}

static const weave_conf_t *mount_conf(const mod_weave_mount_t *mount,
                                      const weave_conf_t *file,
                                      apr_pool_t *pool)
{
    return mount->set ? weave_conf_merge(pool, file, mount->set) : file;
}

static int is_embedded(const weave_conf_t *conf)
{
    return weave_conf_int(conf, WEAVE_WORKERS_MODE) == WEAVE_MODE_EMBEDDED;
}

/* Takes the mounts that name the same file by another path, and are embedded,
 * too: there is room for one application, and one file is one. */
static void others_take(mod_weave_check_t *check, const weave_conf_t *file)
{
    apr_array_header_t *others = check->other_mounts;
    int i, kept = 0;

    for (i = 0; i < others->nelts; i++) {
        mod_weave_mount_t *mount =
            APR_ARRAY_IDX(others, i, mod_weave_mount_t *);

        if (is_embedded(mount_conf(mount, file, check->ptemp)))
            APR_ARRAY_PUSH(check->mounts, mod_weave_mount_t *) = mount;
        else
            APR_ARRAY_IDX(others, kept++, mod_weave_mount_t *) = mount;
    }
    others->nelts = kept;
}

void mod_weave_app_bind(mod_weave_check_t *check, mod_weave_app_t *app,
                        const weave_conf_t *file)
{
    const mod_weave_mount_t *first =
        APR_ARRAY_IDX(check->mounts, 0, mod_weave_mount_t *);
    int i;

    app->environ = weave_conf_environ(file);
    app->set = first->set;
    if (is_embedded(mount_conf(first, file, check->ptemp)))
        others_take(check, file);
    for (i = 0; i < check->mounts->nelts; i++) {
        mod_weave_mount_t *mount =
            APR_ARRAY_IDX(check->mounts, i, mod_weave_mount_t *);

        mount->conf = mount_conf(mount, file, check->pconf);
        mount->app = app;
        mount->mode_where = app->mode_where;
    }
    app->conf = first->conf;
}
