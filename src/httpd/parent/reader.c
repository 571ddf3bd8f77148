/* SPDX-License-Identifier: Apache-2.0 */
/* reader.c: reads and checks a sync.ini in a process of its own
 *
 * A sync.ini may hold secrets, and whatever is parsed leaves copies in pools,
 * in malloc's memory and in jansson's, which are never wiped and which every
 * child of httpd would inherit, with those of all other applications. So the
 * parent forks a process that reads the file, reports what is wrong with it,
 * and ends. It has the parent's rights and runs nothing but our code. It leaves
 * files without a name: what is public, which the parent takes as its own; the
 * text and what weaved is told, which are hidden (hidden.h); and for an
 * embedded application all the rest, which only its children read. */
#include "parent.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <apr_strings.h>

#include "weave_file.h"
#include "weave_frame.h"
#include "weave_host.h"

/* More than the helpers may take that it has at configtest. */
#define READER_MS 90000

enum { PART_PUBLIC, PART_TEXT, PART_SPEC, PART_PRIVATE, PARTS };

typedef struct {
    mod_weave_check_t *check;
    pid_t parent;
    int fds[PARTS];
} reading_t;

/* ---- in the reader ---- */

static void part_write(int fd, const void *data, apr_size_t bytes)
{
    if (weave_file_write(fd, data, bytes) < 0)
        _exit(errno);
}

/* Writes a text of the public part, with its NUL; "" for none. */
static void text_write(const reading_t *reading, const char *text)
{
    text = text ? text : "";
    part_write(reading->fds[PART_PUBLIC], text, strlen(text) + 1);
}

static void number_write(const reading_t *reading, apr_int64_t number)
{
    text_write(reading, apr_psprintf(reading->check->ptemp, "%" APR_INT64_T_FMT,
                                     number));
}

/* APP may be NULL: the file cannot be read. */
static void public_write(const reading_t *reading, const mod_weave_app_t *app,
                         const weave_conf_t *file)
{
    static const weave_virtualenv_t none;
    const weave_virtualenv_t *venv = app && app->venv ? app->venv : &none;

    number_write(reading, reading->check->errors);
    text_write(reading, reading->check->problem);
    number_write(reading, reading->check->stamp);
    if (!app)
        return;
    text_write(reading, weave_conf_text(file, WEAVE_CONF_PUBLIC, NULL,
                                        reading->check->ptemp));
    text_write(reading, app->mode_where);
    text_write(reading, app->absent);
    number_write(reading, app->uid);
    text_write(reading, app->engine);
    text_write(reading, venv->python);
    text_write(reading, venv->version);
    text_write(reading, venv->libpython);
    text_write(reading, venv->soname);
}

static void reader_run(const reading_t *reading) __attribute__((noreturn));

static void reader_run(const reading_t *reading)
{
    mod_weave_check_t *check = reading->check;
    const weave_conf_t *file = NULL;
    mod_weave_app_t *app;
    const char *text;

    setsid();
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != reading->parent)
        _exit(EPERM);
    app = mod_weave_app_make(&file, check);
    public_write(reading, app, file);
    if (app && app->text_read)
        part_write(reading->fds[PART_TEXT], app->text_read,
                   strlen(app->text_read));
    if (app && app->spec_made)
        part_write(reading->fds[PART_SPEC], app->spec_made,
                   strlen(app->spec_made));
    if (app && app->embedded) {
        /* once for all children: a link may be moved before the last starts */
        const weave_conf_t *now =
            weave_conf_follow(app->conf, NULL, 1, check->ptemp);

        file = weave_conf_follow(file, NULL, 1, check->ptemp);
        text = weave_conf_text(now, WEAVE_CONF_ALL, weave_conf_environ(file),
                               check->ptemp);
        part_write(reading->fds[PART_PRIVATE], text, strlen(text));
    }
    _exit(0);
}

/* ---- in the parent ---- */

static apr_int64_t number_next(weave_frame_cursor_t *cursor)
{
    const char *text = weave_frame_string_next(cursor);

    return text ? apr_atoi64(text) : 0;
}

static apr_status_t parts_forget(void *app_)
{
    mod_weave_app_t *app = app_;

    mod_weave_hidden_set(&app->text, NULL);
    mod_weave_hidden_set(&app->spec, NULL);
    if (app->private_fd >= 0)
        close(app->private_fd);
    app->private_fd = -1;
    return APR_SUCCESS;
}

/* Takes what is not for everybody. 0, or -1 and errno. */
static int parts_take(mod_weave_app_t *app, reading_t *reading)
{
    struct stat text = {.st_size = 0}, spec = {.st_size = 0};

    app->private_fd = -1;
    apr_pool_cleanup_register(reading->check->pconf, app, parts_forget,
                              parts_forget);
    if (fstat(reading->fds[PART_TEXT], &text) < 0 ||
        fstat(reading->fds[PART_SPEC], &spec) < 0)
        return -1;
    if ((text.st_size &&
         mod_weave_hidden_read(&app->text, reading->fds[PART_TEXT]) < 0) ||
        (spec.st_size &&
         mod_weave_hidden_read(&app->spec, reading->fds[PART_SPEC]) < 0))
        return -1;
    if (app->embedded) {
        app->private_fd = reading->fds[PART_PRIVATE];
        reading->fds[PART_PRIVATE] = -1;
        /* whatever the parent forks has it open for writing */
        if (mod_weave_hidden_seal(app->private_fd) < 0)
            return -1;
    }
    return 0;
}

/* Takes what stands behind the configuration in the public part. */
static void public_take(mod_weave_app_t *app, weave_frame_cursor_t *cursor,
                        apr_pool_t *pool)
{
    weave_virtualenv_t *venv = apr_pcalloc(pool, sizeof(*venv));

    app->mode_where = weave_frame_string_next(cursor);
    app->absent = weave_frame_string_next(cursor);
    app->uid = (apr_uid_t)number_next(cursor);
    app->engine = weave_frame_string_next(cursor);
    venv->python = weave_frame_string_next(cursor);
    venv->version = weave_frame_string_next(cursor);
    venv->libpython = weave_host_text(weave_frame_string_next(cursor));
    venv->soname = weave_frame_string_next(cursor);
    if (weave_host_text(venv->python))
        app->venv = venv;
}

/* NULL, and *why: the reader has not come to its end. Otherwise *why is NULL,
 * and there is no application where its file cannot be read. */
static mod_weave_app_t *result_take(const char **why, reading_t *reading)
{
    mod_weave_check_t *check = reading->check;
    mod_weave_app_t *app = apr_pcalloc(check->pconf, sizeof(*app));
    weave_conf_t *file = NULL;
    apr_size_t bytes = 0;
    const char *data =
        mod_weave_hidden_copy(&bytes, reading->fds[PART_PUBLIC], check->pconf);
    weave_frame_cursor_t cursor = {data, data + bytes};

    *why = data ? "it has left no answer" : strerror(errno);
    if (!bytes || !data)
        return NULL;
    check->errors = (int)number_next(&cursor);
    check->problem = weave_host_text(weave_frame_string_next(&cursor));
    check->stamp = number_next(&cursor);
    *why = NULL;
    data = weave_frame_string_next(&cursor);
    if (!data)
        return NULL;
    app->ini = check->ini;
    app->ini_now = check->ini_now;
    app->ini_real = check->ini_real;
    app->is_kept = check->is_kept;
    public_take(app, &cursor, check->pconf);
    weave_conf_parse(&file, data, check->ini_real,
                     weave_problems_make(check->ptemp), check->pconf);
    mod_weave_app_bind(check, app, file);
    app->embedded =
        weave_conf_int(app->conf, WEAVE_WORKERS_MODE) == WEAVE_MODE_EMBEDDED;
    if (parts_take(app, reading) < 0)
        *why = strerror(errno);
    return app;
}

static const char *reader_explain(const mod_weave_helper_t *helper,
                                  apr_pool_t *pool)
{
    if (helper->is_late)
        return apr_psprintf(pool, "it took more than %d s", READER_MS / 1000);
    if (WIFSIGNALED(helper->status))
        return apr_psprintf(pool, "it was killed by signal %d (%s)",
                            WTERMSIG(helper->status),
                            strsignal(WTERMSIG(helper->status)));
    return WEXITSTATUS(helper->status) ? strerror(WEXITSTATUS(helper->status))
                                       : NULL;
}

static const char *parts_make(reading_t *reading)
{
    int i, made = 0;

    for (i = 0; i < PARTS; i++) {
        reading->fds[i] = mod_weave_hidden_file("weave-reader");
        made += reading->fds[i] >= 0;
    }
    return made == PARTS ? NULL : strerror(errno);
}

mod_weave_app_t *mod_weave_app_read(mod_weave_check_t *check)
{
    reading_t reading = {.check = check, .parent = getpid()};
    mod_weave_helper_t helper = {.fd = -1};
    const char *why = parts_make(&reading);
    mod_weave_app_t *app = NULL;
    /* the reader would forget it */
    int i, slot = mod_weave_retained_slot(check->ini);

    if (!why) {
        helper.pid = fork();
        if (helper.pid == 0)
            reader_run(&reading);
        why = helper.pid < 0 ? strerror(errno) : NULL;
    }
    if (!why) {
        mod_weave_helper_wait(&helper, READER_MS);
        why = reader_explain(&helper, check->ptemp);
    }
    if (!why)
        app = result_take(&why, &reading);
    if (app)
        app->slot = slot;
    for (i = 0; i < PARTS; i++)
        if (reading.fds[i] >= 0)
            close(reading.fds[i]);
    if (why)
        mod_weave_check_fail(check,
                             "WEAVE0180: the process that reads %s has failed:"
                             " %s. Try again",
                             check->ini, why);
    return app;
}
