/* SPDX-License-Identifier: Apache-2.0 */
/* weave_maintenance_board.c: maintenance in shared memory */
#include "weave_maintenance_board.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <apr_strings.h>

#define READ_TRIES 100000
#define YIELD_EVERY 1000
#define LINK_PREFIX "httpd-"
#define BOARD_NAME "weave-maintenance"

/* ---- making and mapping ---- */

_Static_assert(offsetof(weave_maintenance_board_t, bytes) ==
                   offsetof(weave_memory_t, bytes),
               "shared memory");

apr_status_t weave_maintenance_board_create(int *fd,
                                            weave_maintenance_board_t **board)
{
    apr_status_t rv =
        weave_memory_create(fd, (void **)board, BOARD_NAME, sizeof(**board),
                            WEAVE_MAINTENANCE_MAGIC);

    if (rv != APR_SUCCESS)
        return rv;
    atomic_store(&(*board)->epoch, 1);
    (*board)->pid = (uint32_t)getpid();
    (*board)->tally_fd = -1;
    return APR_SUCCESS;
}

apr_status_t weave_maintenance_board_map(weave_maintenance_board_t **board,
                                         int fd, int writable)
{
    return weave_memory_map((void **)board, fd, sizeof(**board),
                            WEAVE_MAINTENANCE_MAGIC, writable);
}

void weave_maintenance_board_unmap(weave_maintenance_board_t *board)
{
    munmap(board, sizeof(*board));
}

/* ---- rows ---- */

static void text_end(char *text, size_t bytes)
{
    text[bytes - 1] = '\0';
}

void weave_maintenance_row_get(weave_maintenance_t *copy,
                               const weave_maintenance_board_t *board,
                               uint32_t row)
{
    const weave_maintenance_row_t *from = &board->rows[row];
    uint32_t serial;
    int tries = 0;

    do {
        /* its writer may wait for this very processor */
        if (tries % YIELD_EVERY == YIELD_EVERY - 1)
            sched_yield();
        serial = atomic_load(&from->serial);
        memcpy(copy, &from->word, sizeof(*copy));
        atomic_thread_fence(memory_order_acquire);
    } while (((serial & 1) || serial != atomic_load(&from->serial)) &&
             ++tries < READ_TRIES);
    if (tries == READ_TRIES) {
        memset(copy, 0, sizeof(*copy));
        copy->mode = WEAVE_MAINTENANCE_ON;
    }
    text_end(copy->by, sizeof(copy->by));
    text_end(copy->message, sizeof(copy->message));
}

void weave_maintenance_row_set(weave_maintenance_board_t *board, uint32_t row,
                               const weave_maintenance_t *word)
{
    weave_maintenance_row_t *to = &board->rows[row];
    uint32_t serial = atomic_load(&to->serial) | 1;

    /* readers need not wait for nothing */
    if (!(atomic_load(&to->serial) & 1) &&
        memcmp(&to->word, word, sizeof(*word)) == 0)
        return;
    /* one that died in the middle has left it odd: it goes on from there */
    atomic_store(&to->serial, serial);
    atomic_thread_fence(memory_order_release);
    /* as an OFF it is an answer alone: nobody may die with it too long there */
    if (word->mode != WEAVE_MAINTENANCE_OFF)
        atomic_store(&to->mode, word->mode);
    to->word = *word;
    atomic_store(&to->mode, word->mode);
    atomic_store(&to->serial, serial + 1);
}

void weave_maintenance_turn(weave_maintenance_board_t *board)
{
    if (atomic_fetch_add(&board->epoch, 1) == UINT32_MAX)
        atomic_fetch_add(&board->epoch, 1);
}

void weave_maintenance_publish(weave_maintenance_board_t *board,
                               const apr_array_header_t *entries)
{
    int64_t now = apr_time_now();
    weave_maintenance_t word;
    uint32_t row;

    for (row = 0; row < WEAVE_MAINTENANCE_ROWS; row++) {
        weave_maintenance_word_of(&word, entries, board, row, now);
        weave_maintenance_row_set(board, row, &word);
    }
    weave_maintenance_turn(board);
}

/* ---- whose a word is ---- */

static int names_have(const char *names, const char *path, size_t len)
{
    const char *end;

    for (; (end = strchr(names, '\n')) != NULL; names = end + 1)
        if ((size_t)(end - names) == len && !memcmp(names, path, len))
            return 1;
    return 0;
}

int weave_names_have(const char *names, const char *path)
{
    return names_have(names, path, strlen(path));
}

int weave_names_share(const char *a, const char *b)
{
    const char *end;

    for (; (end = strchr(a, '\n')) != NULL; a = end + 1)
        if (names_have(b, a, (size_t)(end - a)))
            return 1;
    return 0;
}

static int is_name_of(const char *path, const weave_maintenance_board_t *board,
                      uint32_t place)
{
    return *board->ini[place] && (!strcmp(path, board->ini[place]) ||
                                  weave_names_have(board->names[place], path));
}

static int is_anybodys(const char *path, const weave_maintenance_board_t *board)
{
    uint32_t place;

    for (place = 0; place < WEAVE_ROSTER_APPS; place++)
        if (is_name_of(path, board, place))
            return 1;
    return 0;
}

int weave_maintenance_is_for(const weave_maintenance_entry_t *entry,
                             const weave_maintenance_board_t *board,
                             uint32_t place)
{
    if (!entry->ini)
        return 0;
    return is_name_of(entry->ini, board, place) ||
           (entry->real && is_name_of(entry->real, board, place) &&
            !is_anybodys(entry->ini, board));
}

/* A drain becomes on: none of both may end the other. */
static int is_refusing(const weave_maintenance_t *word)
{
    return word->mode >= WEAVE_MAINTENANCE_DRAINING;
}

/* Of TO and WORD, which are for the same. An end is put off only for one that
 * is as strict. */
static void word_merge(weave_maintenance_t *to, const weave_maintenance_t *word)
{
    int is_alike =
        word->mode == to->mode || (is_refusing(word) && is_refusing(to));
    int64_t until = to->until_us;

    if (until && (!word->until_us || word->until_us > until))
        until = word->until_us;
    if (word->mode > to->mode ||
        (word->mode == to->mode && weave_maintenance_is_more(word, to)))
        *to = *word;
    if (is_alike)
        to->until_us = until;
}

int weave_maintenance_word_of(weave_maintenance_t *word,
                              const apr_array_header_t *entries,
                              const weave_maintenance_board_t *board,
                              uint32_t row, int64_t now_us)
{
    int i, found = 0;

    memset(word, 0, sizeof(*word));
    for (i = 0; i < entries->nelts; i++) {
        const weave_maintenance_entry_t *entry =
            &APR_ARRAY_IDX(entries, i, weave_maintenance_entry_t);

        if (row == WEAVE_MAINTENANCE_ALL
                ? entry->ini != NULL
                : !weave_maintenance_is_for(entry, board, row - 1))
            continue;
        if (entry->word.until_us && entry->word.until_us <= now_us)
            continue;
        if (found++)
            word_merge(word, &entry->word);
        else
            *word = entry->word;
    }
    return found > 0;
}

/* The first of NAMES for what ENTRY says of INI. What it had as a name may be
 * that of another httpd with the same folder; the path itself is replaced. 1:
 * there was none. */
static int name_add(apr_array_header_t *entries,
                    weave_maintenance_entry_t entry, const char *ini,
                    const char *names)
{
    const char *name = apr_pstrmemdup(
        entries->pool, names, (apr_size_t)(strchr(names, '\n') - names));

    if (weave_maintenance_find(entries, name))
        return 0;
    if (!strcmp(entry.ini, ini)) {
        static const weave_maintenance_t off;

        weave_maintenance_set(entries, entry.ini, NULL, &off);
    }
    weave_maintenance_set(entries, name, apr_pstrdup(entries->pool, ini),
                          &entry.word);
    return 1;
}

int weave_maintenance_adopt(apr_array_header_t *entries,
                            const weave_maintenance_board_t *board)
{
    int i, adopted = 0, all = entries->nelts;

    /* from the end: what is added or taken out is behind or has been seen */
    for (i = all - 1; i >= 0; i--) {
        const weave_maintenance_entry_t *entry =
            &APR_ARRAY_IDX(entries, i, weave_maintenance_entry_t);
        uint32_t place;

        for (place = 0; place < WEAVE_ROSTER_APPS; place++) {
            const char *names = board->names[place];

            if (!strchr(names, '\n') || !entry->ini ||
                weave_names_have(names, entry->ini) ||
                !weave_maintenance_is_for(entry, board, place))
                continue;
            adopted |= name_add(entries, *entry, board->ini[place], names);
            break;
        }
    }
    return adopted;
}

/* ---- links ---- */

const char *weave_maintenance_link_name(long pid, apr_pool_t *pool)
{
    return apr_psprintf(pool, LINK_PREFIX "%ld", pid);
}

const char *weave_maintenance_link(const char *dir, const char *name, int fd,
                                   apr_pool_t *pool)
{
    const char *path = apr_pstrcat(pool, dir, "/", name, NULL);
    const char *fresh = apr_pstrcat(pool, path, ".new", NULL);
    const char *to = apr_psprintf(pool, "/proc/%ld/fd/%d", (long)getpid(), fd);

    unlink(fresh);
    if (symlink(to, fresh) == 0 && rename(fresh, path) == 0)
        return NULL;
    return apr_psprintf(pool, "%s cannot be made: %s", path, strerror(errno));
}

static apr_status_t board_forget(void *board)
{
    weave_maintenance_board_unmap(board);
    return APR_SUCCESS;
}

/* Where the link PATH leads to, and whose descriptor that is; 0: nobody's. */
static long link_read(char *to, size_t room, const char *path)
{
    ssize_t len = readlink(path, to, room - 1);
    int fd, end = 0;
    long pid;

    to[len > 0 ? len : 0] = '\0';
    if (sscanf(to, "/proc/%ld/fd/%d%n", &pid, &fd, &end) != 2 || to[end])
        return 0;
    return pid;
}

/* What has this pid now may be something else, and what that has open may be
 * anything: nobody opens it without need. 0, or errno; ENOENT: it is none. */
static int board_look(const char *to)
{
    char what[64] = "";

    if (readlink(to, what, sizeof(what) - 1) < 0)
        return errno;
    return strncmp(what, "/memfd:" BOARD_NAME,
                   sizeof("/memfd:" BOARD_NAME) - 1) != 0
               ? ENOENT
               : 0;
}

/* Is what FD has from whoever has made the link PATH? A pid that was root's may
 * be anybody's by now. */
static int is_owners(int fd, const char *path)
{
    struct stat link, status;

    return lstat(path, &link) == 0 && fstat(fd, &status) == 0 &&
           link.st_uid == status.st_uid;
}

static int is_other_version(int fd)
{
    weave_memory_t head;

    return pread(fd, &head, sizeof(head), 0) == (ssize_t)sizeof(head) &&
           head.magic == WEAVE_MAINTENANCE_MAGIC &&
           (head.version != WEAVE_BOARD_VERSION ||
            head.bytes != sizeof(weave_maintenance_board_t));
}

/* NULL, and *why where an httpd may run with what FD has. */
static weave_maintenance_board_t *board_take(const char **why, int fd, long pid,
                                             const char *path, int writable,
                                             apr_pool_t *pool)
{
    weave_maintenance_board_t *board;
    apr_status_t rv;

    if (!is_owners(fd, path))
        return NULL;
    rv = weave_maintenance_board_map(&board, fd, writable);
    if (rv == APR_EMISMATCH && is_other_version(fd))
        *why = apr_psprintf(pool,
                            "%s: httpd %ld runs with another version of"
                            " mod_weave: stop it and start it again",
                            path, pid);
    else if (rv != APR_SUCCESS && rv != APR_EMISMATCH)
        *why = apr_psprintf(pool, "%s: %s", path, strerror(rv));
    if (rv != APR_SUCCESS)
        return NULL;
    if (board->pid == (uint32_t)pid)
        return board;
    weave_maintenance_board_unmap(board);
    return NULL;
}

weave_maintenance_board_t *weave_maintenance_open(const char **why,
                                                  const char *path,
                                                  int writable,
                                                  apr_pool_t *pool)
{
    weave_maintenance_board_t *board;
    char to[64];
    long pid = link_read(to, sizeof(to), path);
    int error = pid ? board_look(to) : ENOENT, fd = -1;

    *why = NULL;
    if (!error) {
        fd = open(to, (writable ? O_RDWR : O_RDONLY) | O_CLOEXEC | O_NONBLOCK);
        error = fd < 0 ? errno : 0;
    }
    if (error) {
        if (error != ENOENT)
            *why = apr_psprintf(pool, "%s: %s", path, strerror(error));
        return NULL;
    }
    board = board_take(why, fd, pid, path, writable, pool);
    close(fd);
    if (board)
        apr_pool_cleanup_register(pool, board, board_forget,
                                  apr_pool_cleanup_null);
    return board;
}

/* A link may have been copied. What cannot be looked at is believed. */
static int is_elsewhere(const weave_maintenance_board_t *board, const char *dir)
{
    struct stat one, other;

    return stat(dir, &one) == 0 && stat(board->state_dir, &other) == 0 &&
           (one.st_dev != other.st_dev || one.st_ino != other.st_ino);
}

/* What only has such a name is not ours. */
static int is_link(const char *path)
{
    struct stat status;

    return lstat(path, &status) == 0 && S_ISLNK(status.st_mode);
}

apr_array_header_t *weave_maintenance_boards(const char **why, const char *dir,
                                             int writable, apr_pool_t *pool)
{
    apr_array_header_t *boards = apr_array_make(pool, 2, sizeof(void *));
    DIR *folder = opendir(dir);
    const struct dirent *entry;

    *why = NULL;
    if (!folder && errno != ENOENT && errno != ENOTDIR)
        *why =
            apr_psprintf(pool, "%s cannot be read: %s", dir, strerror(errno));
    while (folder && (entry = readdir(folder)) != NULL) {
        const char *path, *wrong;
        weave_maintenance_board_t *board;

        if (strncmp(entry->d_name, LINK_PREFIX, strlen(LINK_PREFIX)) != 0)
            continue;
        path = apr_pstrcat(pool, dir, "/", entry->d_name, NULL);
        board = weave_maintenance_open(&wrong, path, writable, pool);
        if (board && is_elsewhere(board, dir))
            *why = apr_psprintf(pool,
                                "%s leads to an httpd that has its"
                                " WeaveStateDir in %s",
                                path, board->state_dir);
        else if (board)
            APR_ARRAY_PUSH(boards, weave_maintenance_board_t *) = board;
        else if (wrong)
            *why = wrong;
        else if (writable && is_link(path))
            unlink(path);
    }
    if (folder)
        closedir(folder);
    return boards;
}
