/* SPDX-License-Identifier: Apache-2.0 */
/* publish.c: WeaveStateDir and what stands in it, from the httpd parent
 *
 * weavectl writes the file, and httpd's children read it. The parent makes the
 * folder, keeps room in it for a full disk, and knows what the file says, so
 * that its children know it from their first request on. It waits for nobody:
 * where weavectl holds the lock, weavectl does what is to be done. */
#include "parent.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <apr_strings.h>
#include <unixd.h>

/* At a restart what is wrong with the file is logged again. */
static void known_renew(mod_weave_retained_t *data)
{
    atomic_store(&mod_weave_counters->problem_logged, 0);
    data->known.trouble = 0;
    mod_weave_known_learn(&data->known);
}

static void folder_complain(server_rec *s, const char *problem)
{
    ap_log_error(APLOG_MARK, APLOG_WARNING, 0, s,
                 "WEAVE0150: WeaveStateDir: %s. `weavectl maintenance` does not"
                 " reach this httpd until that is mended and httpd is"
                 " restarted with `graceful`",
                 problem);
}

/* WeaveStateDir is DIR, and was another one before the restart: what was said
 * goes into it, where nothing has been said there yet. */
static void known_move(const mod_weave_retained_t *data, const char *dir,
                       int lock, server_rec *s, apr_pool_t *pool)
{
    if (!weave_known_is_set(&data->known, apr_time_now()))
        return;
    if (weave_maintenance_stamp(dir))
        ap_log_error(APLOG_MARK, APLOG_WARNING, 0, s,
                     "WEAVE0141: WeaveStateDir was %s until now: what"
                     " `weavectl maintenance` has said there does not hold any"
                     " more, but what %s/" WEAVE_MAINTENANCE_FILE " says",
                     data->known_dir, dir);
    else if (lock >= 0 && data->known.entries)
        weave_maintenance_write(data->known.entries, dir, pool);
}

/* A new folder that cannot be used is none: that of before holds on. */
static void folder_prepare(mod_weave_retained_t *data, server_rec *s,
                           apr_pool_t *pool)
{
    const char *dir = mod_weave_state_dir();
    int lock, moved = data->known_dir && strcmp(data->known_dir, dir) != 0;
    const char *problem = weave_maintenance_lock(&lock, dir, 1, 0, pool);

    if (problem)
        folder_complain(s, problem);
    if (moved && !problem) {
        mod_weave_known_learn(&data->known);
        known_move(data, dir, lock, s, pool);
    }
    if (lock >= 0) {
        weave_maintenance_reserve(dir, pool);
        close(lock);
    }
    if (data->known_dir && (!moved || problem))
        return;
    free(data->known_dir);
    data->known_dir = strdup(dir);
}

void mod_weave_publish(apr_pool_t *pconf, server_rec *s)
{
    mod_weave_retained_t *data = mod_weave_retained_get();

    if (!data || !mod_weave_counters)
        return;
    folder_prepare(data, s, pconf);
    known_renew(data);
}

/* With ChrootDir children see another folder by that name, or none. */
static void chroot_check(const char *dir, server_rec *s, apr_pool_t *pool)
{
    const char *root = ap_unixd_config.chroot_dir;
    struct stat one, other;

    if (!root || (stat(dir, &one) == 0 &&
                  stat(apr_pstrcat(pool, root, dir, NULL), &other) == 0 &&
                  one.st_dev == other.st_dev && one.st_ino == other.st_ino))
        return;
    ap_log_error(APLOG_MARK, APLOG_WARNING, 0, s,
                 "WEAVE0292: httpd's children do not see WeaveStateDir %s below"
                 " ChrootDir %s: once `weavectl maintenance` changes anything"
                 " they answer 503 for all applications, until the next"
                 " `graceful`. Mount the folder below ChrootDir by the same"
                 " path, or use WeaveMaintenance instead of weavectl",
                 dir, root);
}

void mod_weave_publish_check(apr_pool_t *pool, server_rec *s)
{
    const char *dir = mod_weave_state_dir();
    const char *problem = weave_maintenance_dir_check(dir, pool);
    apr_array_header_t *entries;

    chroot_check(dir, s, pool);
    if (problem)
        folder_complain(s, problem);
    else if (weave_maintenance_read(&entries, NULL, &problem, dir, geteuid(),
                                    pool) == WEAVE_MAINTENANCE_FILE_BAD)
        ap_log_error(APLOG_MARK, APLOG_WARNING, 0, s,
                     "WEAVE0157: %s; httpd answers 503 for all applications:"
                     " `weavectl maintenance off`, or `on`, says what is right",
                     problem);
}

const char *mod_weave_publish_enter_check(apr_pool_t *pool)
{
    const char *dir = mod_weave_state_dir();
    const char *problem =
        weave_maintenance_dir_check(dir, pool)
            ? NULL /* said, and served all the same */
            : mod_weave_enter_check(
                  dir, "not know whether there is maintenance, and answer 503",
                  pool);

    return problem
               ? apr_pstrcat(pool, "WEAVE0293: WeaveStateDir ", problem, NULL)
               : NULL;
}
