/* SPDX-License-Identifier: Apache-2.0 */
/* publish.c: the maintenance board, from the httpd parent
 *
 * The parent makes it once and fills it at every restart: with what the file
 * in WeaveStateDir says, and with what the configuration says, for weavectl.
 * What cannot be read changes nothing that is known, and where nothing is
 * known it means "on". */
#include "switch.h"

#include <stdlib.h>
#include <unistd.h>

#include <apr_strings.h>

#include "weave_folder.h"

#define LOCK_MS 5000

/* Of the retained data, which a request has no time to look up. */
static const weave_maintenance_board_t *the_board;
static weave_tally_t *the_tally;

/* ---- the memory ---- */

/* What the parent has open its children inherit, and so does what mod_cgid
 * forks: for writing it is opened each time, which only its user can. */
static apr_status_t board_make(mod_weave_retained_t *data)
{
    weave_maintenance_board_t *board;
    int made, fd = -1;
    apr_status_t rv = weave_maintenance_board_create(&made, &board);

    if (rv != APR_SUCCESS)
        return rv;
    board->tally_fd = data->tally_fd;
    weave_maintenance_board_unmap(board);
    rv = weave_memory_reopen(&fd, made, 0);
    close(made);
    if (rv == APR_SUCCESS)
        rv = weave_maintenance_board_map(&data->maintenance, fd, 0);
    if (rv == APR_SUCCESS)
        data->maintenance_fd = fd;
    else if (fd >= 0)
        close(fd);
    return rv;
}

static apr_status_t board_open(weave_maintenance_board_t **board,
                               const mod_weave_retained_t *data)
{
    int fd;
    apr_status_t rv = weave_memory_reopen(&fd, data->maintenance_fd, 1);

    if (rv != APR_SUCCESS)
        return rv;
    rv = weave_maintenance_board_map(board, fd, 1);
    close(fd);
    return rv;
}

static const char *share(mod_weave_retained_t *data, apr_pool_t *pool)
{
    apr_status_t rv = APR_SUCCESS;
    char why[120];

    if (!data->tally)
        rv = weave_tally_create(&data->tally_fd, &data->tally);
    if (rv == APR_SUCCESS && !data->maintenance)
        rv = board_make(data);
    if (rv == APR_SUCCESS)
        return NULL;
    return apr_psprintf(pool,
                        "no memory can be shared with httpd's children:"
                        " %s",
                        apr_strerror(rv, why, sizeof(why)));
}

/* ---- what it says ---- */

static void word_of_nobody(weave_maintenance_t *word)
{
    memset(word, 0, sizeof(*word));
    word->mode = WEAVE_MAINTENANCE_ON;
    word->since_us = apr_time_now();
    apr_cpystrn(word->by, WEAVE_MAINTENANCE_BY_NOBODY, sizeof(word->by));
}

/* What was counted for whoever had PLACE before is nobody's. */
static void tally_clear(int place)
{
    int stripe;

    for (stripe = 0; stripe < WEAVE_TALLY_STRIPES; stripe++)
        memset(&the_tally->rows[stripe][place], 0, sizeof(weave_tally_row_t));
}

/* Puts APP there. One that is new goes by what ENTRIES say of it; where they
 * are not to be believed (NULL), nobody knows, and it is on. */
static void name_one(weave_maintenance_board_t *board,
                     const mod_weave_app_t *app,
                     const apr_array_header_t *entries)
{
    apr_uint32_t row = (apr_uint32_t)app->place + 1;
    int is_new = strcmp(board->ini[app->place], app->ini) != 0;
    weave_maintenance_t word;

    if (is_new && !entries)
        word_of_nobody(&word);
    apr_cpystrn(board->ini[app->place], app->ini, WEAVE_MAINTENANCE_PATH);
    apr_snprintf(board->names[app->place], WEAVE_MAINTENANCE_PATH, "%s\n",
                 app->ini);
    if (!is_new)
        return;
    if (entries)
        weave_maintenance_word_of(&word, entries, board, row, apr_time_now());
    weave_maintenance_row_set(board, row, &word);
    tally_clear(app->place);
}

/* Has weavectl said nothing, or nothing that is not over? */
static int is_quiet(const weave_maintenance_board_t *board)
{
    weave_maintenance_t word;
    apr_uint32_t row;

    for (row = 0; row < WEAVE_MAINTENANCE_ROWS; row++) {
        weave_maintenance_row_get(&word, board, row);
        if (weave_maintenance_mode_at(&word, apr_time_now(), 0) !=
            WEAVE_MAINTENANCE_OFF)
            return 0;
    }
    return 1;
}

/* The file was not there, or could not be read. */
static void keep(weave_maintenance_board_t *board, mod_weave_retained_t *data,
                 const char *problem, server_rec *s)
{
    weave_maintenance_t on;

    if (data->maintenance_known) {
        ap_log_error(APLOG_MARK, APLOG_ERR, 0, s,
                     "WEAVE0151: %s; what `weavectl maintenance` has said"
                     " before stays as it is, until it says something else",
                     problem);
        return;
    }
    word_of_nobody(&on);
    weave_maintenance_row_set(board, WEAVE_MAINTENANCE_ALL, &on);
    ap_log_error(APLOG_MARK, APLOG_ERR, 0, s,
                 "WEAVE0152: %s; nobody knows whether there is maintenance, so"
                 " all applications answer 503: `weavectl maintenance off`, or"
                 " `on`, says what is right",
                 problem);
}

static int has_moved(const mod_weave_retained_t *data, const char *dir)
{
    return data->state_dir && strcmp(data->state_dir, dir) != 0;
}

/* What stands in the folder of until now goes into DIR, where nothing is yet.
 * 1: it does, or that was nothing. */
static int take_along(apr_array_header_t **entries,
                      const mod_weave_retained_t *data, const char *dir,
                      apr_pool_t *pool)
{
    const char *problem;
    int lock, rc;

    if (!has_moved(data, dir) ||
        weave_maintenance_lock(&lock, data->state_dir, 0, LOCK_MS, pool))
        return 0;
    rc = weave_maintenance_read(entries, &problem, data->state_dir, pool) ==
             WEAVE_MAINTENANCE_FILE_READ &&
         !weave_maintenance_write(*entries, dir, pool);
    weave_maintenance_unlock(lock);
    return rc;
}

/* Why what the file says is not to be believed, or NULL. */
static const char *file_read(apr_array_header_t **entries,
                             const weave_maintenance_board_t *board,
                             const mod_weave_retained_t *data, int locked,
                             apr_pool_t *pool)
{
    const char *dir = mod_weave_state_dir(), *problem;

    switch (weave_maintenance_read(entries, &problem, dir, pool)) {
    case WEAVE_MAINTENANCE_FILE_READ:
        return weave_maintenance_dir_check(dir, pool);
    case WEAVE_MAINTENANCE_FILE_NONE:
        return is_quiet(board) ||
                       (locked && take_along(entries, data, dir, pool))
                   ? NULL
                   : apr_psprintf(
                         pool, "%s/" WEAVE_MAINTENANCE_FILE " has gone", dir);
    default:
        return problem;
    }
}

/* Of what was said before httpd knew it, the file gets the name by which it
 * follows a link. */
static void adopt(apr_array_header_t *entries,
                  const weave_maintenance_board_t *board, apr_pool_t *pool)
{
    if (weave_maintenance_adopt(entries, board))
        weave_maintenance_write(entries, mod_weave_state_dir(), pool);
}

/* A folder that has a word of its own already. */
static void note_move(const weave_maintenance_board_t *board,
                      const mod_weave_retained_t *data, server_rec *s,
                      apr_pool_t *pool)
{
    const char *dir = mod_weave_state_dir();
    const char *file = apr_pstrcat(pool, dir, "/" WEAVE_MAINTENANCE_FILE, NULL);

    if (has_moved(data, dir) && !is_quiet(board) && access(file, F_OK) == 0)
        ap_log_error(APLOG_MARK, APLOG_WARNING, 0, s,
                     "WEAVE0141: WeaveStateDir was %s until now: what"
                     " `weavectl maintenance` has said there does not hold any"
                     " more, but what %s says",
                     data->state_dir, file);
}

static void fill(weave_maintenance_board_t *board, mod_weave_retained_t *data,
                 const apr_array_header_t *apps, int locked, server_rec *s,
                 apr_pool_t *pool)
{
    apr_array_header_t *entries;
    const char *problem;
    int i;

    note_move(board, data, s, pool);
    problem = file_read(&entries, board, data, locked, pool);
    for (i = 0; i < apps->nelts; i++) {
        const mod_weave_app_t *app = APR_ARRAY_IDX(apps, i, mod_weave_app_t *);

        if (app->place >= 0)
            name_one(board, app, problem ? NULL : entries);
    }
    if (problem) {
        keep(board, data, problem, s);
        weave_maintenance_turn(board);
    }
    else if (!locked && data->maintenance_known) {
        /* weavectl may be about to say something else than the file says */
        weave_maintenance_turn(board);
    }
    else {
        if (locked)
            adopt(entries, board, pool);
        weave_maintenance_publish(board, entries);
    }
    data->maintenance_known = 1;
}

/* ---- links to it ---- */

static void unusable(server_rec *s, const char *problem)
{
    ap_log_error(APLOG_MARK, APLOG_WARNING, 0, s,
                 "WEAVE0150: WeaveStateDir: %s. `weavectl maintenance` does not"
                 " reach this httpd until that is mended and httpd is"
                 " restarted with `graceful`",
                 problem);
}

/* Another httpd's link of that name stays. */
static void unlink_in(const char *dir, const char *name, apr_pool_t *pool)
{
    const char *ours = apr_psprintf(pool, "/proc/%ld/", (long)getpid());
    const char *problem;
    weave_folder_t folder;
    char to[64];
    ssize_t len;

    if (!dir || weave_folder_open(&folder, &problem, dir, geteuid(), 0, pool) !=
                    APR_SUCCESS)
        return;
    len = readlinkat(folder.fd, name, to, sizeof(to));
    if (len > (ssize_t)strlen(ours) && !strncmp(to, ours, strlen(ours)))
        unlinkat(folder.fd, name, 0);
    close(folder.fd);
}

static apr_status_t unlink_board(void *unused)
{
    const mod_weave_retained_t *data = mod_weave_retained_get();
    apr_pool_t *pool;

    (void)unused;
    if (!data || data->owner != getpid() ||
        ap_state_query(AP_SQ_MAIN_STATE) != AP_SQ_MS_EXITING ||
        apr_pool_create(&pool, NULL) != APR_SUCCESS)
        return APR_SUCCESS;
    unlink_in(data->state_dir, weave_maintenance_link_name(getpid(), pool),
              pool);
    unlink_in(data->runtime_dir, WEAVE_MAINTENANCE_RUNTIME_LINK, pool);
    apr_pool_destroy(pool);
    return APR_SUCCESS;
}

/* Looking at them maps them, and what the parent has mapped its children
 * inherit: nothing of that may stay. */
static void sweep(const char *dir, apr_pool_t *parent)
{
    apr_pool_t *pool;
    const char *why;

    if (apr_pool_create(&pool, parent) != APR_SUCCESS)
        return;
    apr_pool_tag(pool, "weave_publish");
    weave_maintenance_boards(&why, dir, WEAVE_MAINTENANCE_SWEEP, pool);
    apr_pool_destroy(pool);
}

/* With the lock held. Links of httpds that were killed go. */
static const char *link_board(mod_weave_retained_t *data, const char *dir,
                              apr_pool_t *pool)
{
    const char *name = weave_maintenance_link_name(getpid(), pool);

    if (data->state_dir && strcmp(data->state_dir, dir) != 0)
        unlink_in(data->state_dir, name, pool);
    free(data->state_dir);
    data->state_dir = strdup(dir);
    sweep(dir, pool);
    return weave_maintenance_link(dir, name, data->maintenance_fd, pool);
}

void mod_weave_publish_link(apr_pool_t *pool, server_rec *s)
{
    const mod_weave_retained_t *data = mod_weave_retained_get();
    const char *problem = NULL;

    if (data && data->runtime_dir && data->supervisor)
        problem = weave_maintenance_link(data->runtime_dir,
                                         WEAVE_MAINTENANCE_RUNTIME_LINK,
                                         data->maintenance_fd, pool);
    /* a weaved that runs makes a folder that has gone a moment later */
    if (problem && !mod_weave_is_running())
        ap_log_error(APLOG_MARK, APLOG_WARNING, 0, s,
                     "WEAVE0153: %s: weavectl has to be told WeaveStateDir"
                     " with -s",
                     problem);
}

void mod_weave_publish_check(apr_pool_t *pool, server_rec *s)
{
    const char *dir = mod_weave_state_dir();
    const char *problem = weave_maintenance_dir_check(dir, pool);
    apr_array_header_t *entries;

    if (problem)
        unusable(s, problem);
    else if (weave_maintenance_read(&entries, &problem, dir, pool) ==
             WEAVE_MAINTENANCE_FILE_BAD)
        ap_log_error(APLOG_MARK, APLOG_WARNING, 0, s,
                     "WEAVE0157: %s; an httpd that starts now answers 503 for"
                     " all applications: `weavectl maintenance off`, or `on`,"
                     " says what is right",
                     problem);
}

/* ---- every start and restart ---- */

static void declare(weave_maintenance_board_t *board,
                    const apr_array_header_t *apps, server_rec *s,
                    apr_pool_t *pool)
{
    json_t *list = mod_weave_declare(apps, s, pool);
    char *text = json_dumps(list, JSON_COMPACT);

    json_decref(list);
    apr_cpystrn(board->declared,
                text && strlen(text) < sizeof(board->declared) ? text : "",
                sizeof(board->declared));
    free(text);
}

static void publish(weave_maintenance_board_t *board,
                    mod_weave_retained_t *data, const apr_array_header_t *apps,
                    server_rec *s, apr_pool_t *pool)
{
    const char *dir = mod_weave_state_dir();
    /* a weaved that runs stays in its folder */
    const char *runtime =
        data->supervisor ? data->runtime_dir : mod_weave_runtime_dir();
    int lock = -1;
    const char *problem = weave_maintenance_lock(&lock, dir, 1, LOCK_MS, pool);

    apr_cpystrn(board->runtime_dir, runtime, sizeof(board->runtime_dir));
    fill(board, data, apps, lock >= 0, s, pool);
    declare(board, apps, s, pool);
    if (!problem) {
        weave_maintenance_reserve(dir, pool);
        problem = link_board(data, dir, pool);
    }
    if (problem)
        unusable(s, problem);
    /* where weavectl finds it: that of before, while the new one has no link */
    apr_cpystrn(board->state_dir, data->state_dir ? data->state_dir : dir,
                sizeof(board->state_dir));
    if (lock >= 0)
        weave_maintenance_unlock(lock);
}

const char *mod_weave_publish(apr_pool_t *pconf, server_rec *s)
{
    const apr_array_header_t *apps = mod_weave_apps();
    mod_weave_retained_t *data = mod_weave_retained_get();
    weave_maintenance_board_t *board;
    const char *problem;
    apr_status_t rv;

    if (!data || (!apps->nelts && !data->maintenance))
        return NULL;
    data->owner = getpid();
    problem = share(data, pconf);
    if (problem)
        return problem;
    /* first: where what follows fails, children go by what was said before */
    the_board = data->maintenance;
    the_tally = data->tally;
    rv = board_open(&board, data);
    if (rv != APR_SUCCESS)
        return "the maintenance board cannot be written";
    publish(board, data, apps, s, pconf);
    weave_maintenance_board_unmap(board);
    apr_pool_cleanup_register(pconf, NULL, unlink_board, apr_pool_cleanup_null);
    return NULL;
}

const weave_maintenance_board_t *mod_weave_board(void)
{
    return the_board;
}

weave_tally_t *mod_weave_tally_all(void)
{
    return the_tally;
}

static weave_tally_child_t *the_seat;

static void seat_take(void)
{
    if (the_tally)
        the_seat = weave_tally_seat(the_tally);
}

weave_tally_child_t *mod_weave_tally_seat(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    pthread_once(&once, seat_take);
    return the_seat;
}

weave_tally_row_t *mod_weave_tally(const mod_weave_mount_t *mount)
{
    if (!the_tally || mount->place < 0)
        return NULL;
    return &the_tally->rows[getpid() % WEAVE_TALLY_STRIPES][mount->place];
}
