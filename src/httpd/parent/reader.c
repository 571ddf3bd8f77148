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
#include "helper.h"
#include "parent.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <apr_strings.h>

/* More than the helpers may take that it has at configtest. */
#define READER_MS 90000

enum { PART_PUBLIC, PART_TEXT, PART_SPEC, PART_PRIVATE, PARTS };

typedef struct {
    mod_weave_check_t *check;
    pid_t parent;
    int fds[PARTS];
} reading_t;

/* ---- in the reader ---- */

static void virtualenv_pack(weave_pack_t *pack, const weave_virtualenv_t *venv)
{
    weave_pack_int(pack, venv != NULL);
    if (!venv)
        return;
    weave_pack_text(pack, venv->path);
    weave_pack_text(pack, venv->python);
    weave_pack_text(pack, venv->version);
    weave_pack_text(pack, venv->home);
    weave_pack_text(pack, venv->libpython);
    weave_pack_text(pack, venv->soname);
}

static void public_pack(weave_pack_t *pack, const reading_t *reading,
                        const mod_weave_app_t *app, const weave_conf_t *file)
{
    weave_pack_int(pack, reading->check->errors);
    weave_pack_text(pack, reading->check->problem);
    weave_pack_int(pack, reading->check->stamp);
    weave_pack_int(pack, app != NULL);
    if (!app)
        return;
    weave_conf_pack(pack, file, 0);
    weave_pack_int(pack, app->uid);
    weave_pack_text(pack, app->absent ? app->absent : "");
    weave_pack_int(pack, app->embedded);
    if (app->embedded) {
        weave_pack_text(pack, app->engine);
        virtualenv_pack(pack, app->venv);
    }
}

static void part_write(int fd, const void *data, apr_size_t bytes)
{
    if (mod_weave_hidden_write(fd, data, bytes) < 0)
        _exit(errno);
}

static void reader_run(const reading_t *reading) __attribute__((noreturn));

static void reader_run(const reading_t *reading)
{
    mod_weave_check_t *check = reading->check;
    weave_pack_t public = {.pool = check->ptemp};
    weave_pack_t private = {.pool = check->ptemp};
    const weave_conf_t *file = NULL;
    mod_weave_app_t *app;

    setsid();
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != reading->parent)
        _exit(EPERM);
    app = mod_weave_app_make(&file, check);
    public_pack(&public, reading, app, file);
    part_write(reading->fds[PART_PUBLIC], public.data, public.bytes);
    if (app && app->text_read)
        part_write(reading->fds[PART_TEXT], app->text_read,
                   strlen(app->text_read));
    if (app && app->spec_made)
        part_write(reading->fds[PART_SPEC], app->spec_made,
                   strlen(app->spec_made));
    if (app && app->embedded) {
        weave_conf_pack(&private, app->conf, 1);
        weave_table_pack(&private, app->environ);
        part_write(reading->fds[PART_PRIVATE], private.data, private.bytes);
    }
    _exit(0);
}

/* ---- in the parent ---- */

static const weave_virtualenv_t *virtualenv_unpack(weave_unpack_t *unpack)
{
    weave_virtualenv_t *venv = apr_pcalloc(unpack->pool, sizeof(*venv));

    if (!weave_unpack_int(unpack))
        return NULL;
    venv->path = weave_unpack_text(unpack);
    venv->python = weave_unpack_text(unpack);
    venv->version = weave_unpack_text(unpack);
    venv->home = weave_unpack_text(unpack);
    venv->libpython = weave_unpack_text(unpack);
    venv->soname = weave_unpack_text(unpack);
    return venv;
}

static apr_status_t hidden_forget(void *app_)
{
    mod_weave_app_t *app = app_;

    mod_weave_hidden_set(&app->text, NULL);
    mod_weave_hidden_set(&app->spec, NULL);
    return APR_SUCCESS;
}

static apr_status_t private_close(void *app_)
{
    mod_weave_app_t *app = app_;

    if (app->private_fd >= 0)
        close(app->private_fd);
    app->private_fd = -1;
    return APR_SUCCESS;
}

/* Takes what is not for everybody. 0, or -1 and errno. */
static int parts_take(mod_weave_app_t *app, reading_t *reading)
{
    apr_pool_t *pconf = reading->check->pconf;
    struct stat text = {.st_size = 0}, spec = {.st_size = 0};

    app->private_fd = -1;
    apr_pool_cleanup_register(pconf, app, hidden_forget, hidden_forget);
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
        apr_pool_cleanup_register(pconf, app, private_close,
                                  apr_pool_cleanup_null);
        /* whatever the parent forks has it open for writing */
        if (mod_weave_hidden_seal(app->private_fd) < 0)
            return -1;
    }
    return 0;
}

/* NULL, and *why: the reader has not come to its end. Otherwise *why is NULL,
 * and there is no application where its file cannot be read. */
static mod_weave_app_t *result_take(const char **why, reading_t *reading)
{
    mod_weave_check_t *check = reading->check;
    weave_unpack_t unpack = {.pool = check->pconf};
    mod_weave_app_t *app = apr_pcalloc(check->pconf, sizeof(*app));
    const weave_conf_t *file;

    unpack.at = mod_weave_hidden_copy(&unpack.left, reading->fds[PART_PUBLIC],
                                      check->ptemp);
    *why = unpack.at ? "it has left no answer" : strerror(errno);
    if (!unpack.at || !unpack.left)
        return NULL;
    check->errors = (int)weave_unpack_int(&unpack);
    check->problem = weave_unpack_text(&unpack);
    check->stamp = weave_unpack_int(&unpack);
    *why = NULL;
    if (!weave_unpack_int(&unpack))
        return NULL;
    app->ini = check->ini;
    app->ini_now = check->ini_now;
    app->is_kept = check->is_kept;
    file = weave_conf_unpack(&unpack);
    app->uid = (apr_uid_t)weave_unpack_int(&unpack);
    app->absent = weave_unpack_text(&unpack);
    app->embedded = (int)weave_unpack_int(&unpack);
    if (app->embedded) {
        app->engine = weave_unpack_text(&unpack);
        app->venv = virtualenv_unpack(&unpack);
    }
    if (!file || unpack.is_broken) {
        *why = "its answer is not complete";
        return NULL;
    }
    app->environ = weave_conf_environ(file);
    mod_weave_app_bind(check, app, file);
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

/* ---- in a child ---- */
