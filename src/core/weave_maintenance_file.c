/* SPDX-License-Identifier: Apache-2.0 */
/* weave_maintenance_file.c: the file that keeps what weavectl has said */
#include "weave_maintenance.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <apr_strings.h>
#include <apr_time.h>
#include <jansson.h>

#include "weave_clock.h"
#include "weave_file.h"
#include "weave_folder.h"
#include "weave_utf8.h"

#define POLL_US 20000
#define FORMAT "mod_weave maintenance"
#define FRESH WEAVE_MAINTENANCE_FILE ".new" /* what it is written as */
#define RESERVED_BYTES 65536                /* more than the file has */
/* A stamp is that of a file, or an errno and this much. */
#define STAMP_OF_FILE (UINT64_C(1) << 63)
#define STAMP_OF_ERROR UINT64_C(256)
#define TIME_MAX APR_TIME_C(253402300799000000) /* the end of the year 9999 */

/* ---- the folder ---- */

static const char *path_in(const char *dir, const char *name, apr_pool_t *pool)
{
    return apr_pstrcat(pool, dir, "/", name, NULL);
}

static const char *problem_text(const char *what, const char *path,
                                apr_pool_t *pool)
{
    return apr_psprintf(pool, "%s cannot be %s: %s", path, what,
                        strerror(errno));
}

const char *weave_maintenance_dir_check(const char *dir, apr_pool_t *pool)
{
    const char *above = weave_folder_parent(dir, pool);
    const char *problem = weave_folder_check_own(dir, pool);

    if (!problem && access(dir, F_OK) < 0 && access(above, W_OK | X_OK) < 0)
        problem = problem_text("used", above, pool);
    return problem;
}

/* Opens the folder, which must be of root or OWNER: what is said in it stops a
 * service. Returns a status and *problem. */
static apr_status_t dir_open(int *fd, const char **problem, const char *dir,
                             uid_t owner, int make, apr_pool_t *pool)
{
    weave_folder_t folder;
    apr_status_t rv =
        weave_folder_open(&folder, problem, dir, owner, make ? 0711 : 0, pool);

    if (rv != APR_SUCCESS)
        return rv;
    *problem = weave_folder_check_status(dir, &folder.status, pool);
    if (!*problem && folder.status.st_uid != 0 && folder.status.st_uid != owner)
        *problem = apr_psprintf(pool, "%s belongs to %s", dir,
                                weave_folder_user(folder.status.st_uid, pool));
    *fd = folder.fd;
    if (!*problem)
        return APR_SUCCESS;
    close(folder.fd);
    return EPERM;
}

/* Returns 0, or -1 and errno. */
static int lock_await(int fd, int timeout_ms)
{
    int64_t until = weave_clock_us() + timeout_ms * INT64_C(1000);

    while (flock(fd, LOCK_EX | LOCK_NB) < 0) {
        if ((errno != EWOULDBLOCK && errno != EINTR) ||
            weave_clock_us() >= until)
            return -1;
        apr_sleep(POLL_US);
    }
    return 0;
}

const char *weave_maintenance_lock(int *lock, const char *dir, int make,
                                   int timeout_ms, apr_pool_t *pool)
{
    const char *path = path_in(dir, WEAVE_MAINTENANCE_LOCK, pool);
    const char *problem = NULL;
    int fd, folder;

    *lock = -1;
    if (dir_open(&folder, &problem, dir, geteuid(), make, pool) != APR_SUCCESS)
        return problem;
    fd = openat(folder, WEAVE_MAINTENANCE_LOCK,
                O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
    if (fd < 0)
        problem = problem_text("opened", path, pool);
    close(folder);
    if (problem)
        return problem;
    if (lock_await(fd, timeout_ms) == 0) {
        *lock = fd;
        return NULL;
    }
    if (errno != EWOULDBLOCK)
        problem = problem_text("locked", path, pool);
    else if (timeout_ms)
        problem = apr_psprintf(pool,
                               "somebody else holds %s, for more than %d s"
                               " already (`fuser %s` shows who)",
                               path, timeout_ms / 1000, path);
    close(fd);
    return problem;
}

/* ---- the file, read ---- */

static int text_take(char *to, size_t room, const char *text)
{
    if (strlen(text) >= room || !weave_utf8_is_sentence(text))
        return 0;
    strcpy(to, text);
    return 1;
}

static int is_time(json_int_t us)
{
    return us >= 0 && us <= TIME_MAX;
}

/* Returns 0 where OBJECT is no setting. */
static int setting_take(weave_maintenance_t *setting, json_t *object)
{
    const char *mode, *by, *message;
    json_int_t since, until, retry;
    int number;

    if (json_unpack(object, "{s:s, s:I, s:I, s:I, s:s, s:s}", "mode", &mode,
                    "since_us", &since, "until_us", &until, "retry_after_s",
                    &retry, "by", &by, "message", &message) != 0)
        return 0;
    number = weave_maintenance_mode_find(mode);
    if (number < 0 || !is_time(since) || !is_time(until) || retry < 0 ||
        retry > WEAVE_MAINTENANCE_RETRY_MAX)
        return 0;
    memset(setting, 0, sizeof(*setting));
    setting->mode = (uint32_t)number;
    setting->since_us = since;
    setting->until_us = until;
    setting->retry_after_s = (uint32_t)retry;
    return text_take(setting->by, sizeof(setting->by), by) &&
           text_take(setting->message, sizeof(setting->message), message);
}

/* Returns NULL, or what is wrong with ROOT. */
static const char *entries_take(apr_array_header_t *entries, const json_t *root)
{
    json_t *list = json_object_get(root, "entries"), *object;
    const char *format = json_string_value(json_object_get(root, "format"));
    const json_t *version = json_object_get(root, "version");
    size_t i;

    if (!format || strcmp(format, FORMAT) != 0 || !json_is_integer(version))
        return "it is no file of weavectl";
    if (json_integer_value(version) != WEAVE_MAINTENANCE_VERSION)
        return "it is of another version of mod_weave";
    if (!json_is_array(list))
        return "it has no entries";
    json_array_foreach(list, i, object)
    {
        const json_t *ini = json_object_get(object, "ini");
        weave_maintenance_entry_t entry = {0};

        if (!setting_take(&entry.setting, object) ||
            !(json_is_null(ini) || json_is_string(ini)))
            return "one of its entries is none";
        if (json_is_string(ini))
            entry.ini = apr_pstrdup(entries->pool, json_string_value(ini));
        APR_ARRAY_PUSH(entries, weave_maintenance_entry_t) = entry;
    }
    return NULL;
}

static uint64_t stamp_of(const struct stat *status)
{
    return weave_file_stamp(status) | STAMP_OF_FILE;
}

uint64_t weave_maintenance_stamp(const char *dir)
{
    char path[PATH_MAX];
    struct stat status;

    if (snprintf(path, sizeof(path), "%s/" WEAVE_MAINTENANCE_FILE, dir) >=
        (int)sizeof(path))
        return STAMP_OF_ERROR + ENAMETOOLONG;
    if (stat(path, &status) == 0)
        return stamp_of(&status);
    return errno == ENOENT || errno == ENOTDIR
               ? 0
               : STAMP_OF_ERROR + (uint64_t)errno;
}

/* Reads the file, where the folder may be believed. Returns 0, or errno, or
 * EPERM and *problem. */
static apr_status_t file_read(weave_file_t *file, const char **problem,
                              const char *dir, uid_t owner, apr_pool_t *pool)
{
    apr_status_t rv;
    int folder;

    /* nobody has said anything, whoever may write there */
    if (!weave_maintenance_stamp(dir))
        return ENOENT;
    rv = dir_open(&folder, problem, dir, owner, 0, pool);
    if (rv != APR_SUCCESS)
        return rv;
    rv = weave_file_read(file, folder, WEAVE_MAINTENANCE_FILE,
                         WEAVE_MAINTENANCE_FILE_BYTES, pool);
    close(folder);
    return rv;
}

/* Returns NULL, or what is wrong with what FILE has. */
static const char *file_parse(apr_array_header_t *entries,
                              const weave_file_t *file)
{
    json_error_t error;
    json_t *root =
        json_loadb(file->data, file->bytes, JSON_REJECT_DUPLICATES, &error);
    const char *wrong = root ? entries_take(entries, root)
                             : apr_psprintf(entries->pool, "line %d: %s",
                                            error.line, error.text);

    json_decref(root);
    return wrong ? apr_pstrcat(entries->pool, "is damaged: ", wrong, NULL)
                 : NULL;
}

weave_maintenance_file_e weave_maintenance_read(apr_array_header_t **entries,
                                                uint64_t *stamp,
                                                const char **problem,
                                                const char *dir, uid_t owner,
                                                apr_pool_t *pool)
{
    weave_file_t file = {0};
    const char *why = NULL, *wrong;
    apr_status_t rv = file_read(&file, &why, dir, owner, pool);
    int is_other = rv == WEAVE_FILE_OTHER || rv == WEAVE_FILE_LONG;

    *entries = apr_array_make(pool, 4, sizeof(weave_maintenance_entry_t));
    *problem = NULL;
    if (APR_STATUS_IS_ENOENT(rv) || APR_STATUS_IS_ENOTDIR(rv))
        return WEAVE_MAINTENANCE_FILE_NONE;
    if (rv == APR_SUCCESS)
        wrong = file_parse(*entries, &file);
    else if (rv == EPERM && why)
        wrong = apr_pstrcat(pool, "is not believed: ", why, NULL);
    else
        wrong = apr_pstrcat(
            pool, is_other ? "is damaged: it is " : "",
            weave_file_error_text(rv, WEAVE_MAINTENANCE_FILE_BYTES, pool),
            NULL);
    if (!wrong) {
        if (stamp)
            *stamp = stamp_of(&file.status);
        return WEAVE_MAINTENANCE_FILE_READ;
    }
    apr_array_clear(*entries);
    *problem = apr_pstrcat(pool, path_in(dir, WEAVE_MAINTENANCE_FILE, pool),
                           " ", wrong, NULL);
    return WEAVE_MAINTENANCE_FILE_BAD;
}

/* ---- the file, written ---- */

/* NULL: a path is no UTF-8. */
static json_t *root_make(const apr_array_header_t *entries)
{
    json_t *list = json_array();
    int i, wrong = 0;

    for (i = 0; i < entries->nelts; i++) {
        const weave_maintenance_entry_t *entry =
            &APR_ARRAY_IDX(entries, i, weave_maintenance_entry_t);
        const weave_maintenance_t *setting = &entry->setting;

        wrong |= json_array_append_new(
            list,
            json_pack("{s:s?, s:s, s:I, s:I, s:I, s:s, s:s}", "ini", entry->ini,
                      "mode", weave_maintenance_mode_name(setting->mode),
                      "since_us", (json_int_t)setting->since_us, "until_us",
                      (json_int_t)setting->until_us, "retry_after_s",
                      (json_int_t)setting->retry_after_s, "by", setting->by,
                      "message", setting->message));
    }
    if (wrong) {
        json_decref(list);
        return NULL;
    }
    return json_pack("{s:s, s:i, s:o}", "format", FORMAT, "version",
                     WEAVE_MAINTENANCE_VERSION, "entries", list);
}

/* The name is only as lasting as the folder it stands in. */
static void sync_dir(int folder)
{
    int fd = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0)
        return;
    fsync(fd);
    close(fd);
}

/* The file to be, from its beginning: what was kept for it, or a new one. */
static int fresh_open(int folder)
{
    int fd =
        openat(folder, FRESH, O_WRONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    struct stat status;

    if (fd >= 0 && fstat(fd, &status) == 0 && S_ISREG(status.st_mode) &&
        status.st_nlink == 1 && status.st_uid == geteuid())
        return fd;
    if (fd >= 0)
        close(fd);
    unlinkat(folder, FRESH, 0);
    return openat(folder, FRESH,
                  O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0644);
}

/* 0, or -1 and errno. */
static int file_replace(int folder, const char *text)
{
    int fd = fresh_open(folder), error = 0;

    if (fd < 0 || fchmod(fd, 0644) < 0 ||
        weave_file_write(fd, text, strlen(text)) < 0 ||
        ftruncate(fd, (off_t)strlen(text)) < 0 || fsync(fd) < 0 ||
        renameat(folder, FRESH, folder, WEAVE_MAINTENANCE_FILE) < 0)
        error = errno;
    if (fd >= 0)
        close(fd);
    if (error)
        unlinkat(folder, FRESH, 0);
    else
        sync_dir(folder);
    errno = error;
    return error ? -1 : 0;
}

/* Does nothing where the room is there already, or there is none. */
static void room_reserve(int folder)
{
    off_t bytes = RESERVED_BYTES;
    struct stat status;
    int fd =
        openat(folder, FRESH, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

    if (fd < 0)
        return;
    if (fstatat(folder, WEAVE_MAINTENANCE_FILE, &status, 0) == 0)
        bytes += status.st_size;
    if (posix_fallocate(fd, 0, bytes) != 0)
        unlinkat(folder, FRESH, 0);
    close(fd);
}

const char *weave_maintenance_write(const apr_array_header_t *entries,
                                    const char *dir, apr_pool_t *pool)
{
    const char *path = path_in(dir, WEAVE_MAINTENANCE_FILE, pool);
    const char *problem = NULL;
    json_t *root = root_make(entries);
    char *text = json_dumps(root, JSON_INDENT(2) | JSON_PRESERVE_ORDER);
    int folder;

    json_decref(root);
    if (!text)
        return "what is to be kept is no UTF-8";
    if (strlen(text) > WEAVE_MAINTENANCE_FILE_BYTES) {
        free(text);
        return apr_pstrcat(pool, path, ": there is no room for more in it",
                           NULL);
    }
    if (dir_open(&folder, &problem, dir, geteuid(), 0, pool) == APR_SUCCESS) {
        if (file_replace(folder, text) < 0)
            problem = problem_text("written", path, pool);
        room_reserve(folder);
        close(folder);
    }
    free(text);
    return problem;
}

void weave_maintenance_reserve(const char *dir, apr_pool_t *pool)
{
    const char *problem;
    int folder;

    if (dir_open(&folder, &problem, dir, geteuid(), 0, pool) != APR_SUCCESS)
        return;
    room_reserve(folder);
    close(folder);
}
