/* SPDX-License-Identifier: Apache-2.0 */
/* test_maintenance_dir.c: the folder of the maintenance file, and its lock */

#include "maintenance_support.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>
#include <sys/wait.h>

#define NOBODY 65534

/* CODE runs in a process of its own, as somebody who may not do everything. */
static int as_nobody(int (*code)(void))
{
    int status = -1;
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid == 0) {
        if (geteuid() == 0 && (setgid(NOBODY) < 0 || setuid(NOBODY) < 0))
            _exit(99);
        _exit(code());
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static int cannot_write(void)
{
    const char *problem = weave_maintenance_write(entries_make(), folder, pool);

    return problem && strstr(problem, WEAVE_MAINTENANCE_FILE) ? 0 : 1;
}

static void keeps_the_old_file(void **state)
{
    apr_array_header_t *entries = entries_make();

    (void)state;
    set(entries, NULL, WEAVE_MAINTENANCE_ON);
    writes(entries);
    assert_int_equal(chmod(folder, 0555), 0);
    assert_int_equal(as_nobody(cannot_write), 0);
    assert_int_equal(mode_of(reads(), NULL), WEAVE_MAINTENANCE_ON);
    assert_int_equal(chmod(folder, 0700), 0);
    assert_non_null(weave_maintenance_write(entries, in_folder("none"), pool));
}

/* A disk of its own, which others have filled. */
static void disk_fill(void)
{
    static const char block[4096] = "x";
    int fd = open(in_folder("others"), O_WRONLY | O_CREAT, 0600);

    while (write(fd, block, sizeof(block)) > 0)
        ;
    assert_int_equal(errno, ENOSPC);
    close(fd);
}

static int on_a_full_disk(void)
{
    apr_array_header_t *entries = entries_make();

    if (unshare(CLONE_NEWNS) < 0 ||
        mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
        mount("weave-test", folder, "tmpfs", 0, "size=256k,mode=755") < 0)
        return 77;
    weave_maintenance_reserve(folder, pool);
    disk_fill();
    set(entries, NULL, WEAVE_MAINTENANCE_ON);
    writes(entries);
    assert_int_equal(mode_of(reads(), NULL), WEAVE_MAINTENANCE_ON);
    /* now there is no room for the next one */
    set(entries, NULL, WEAVE_MAINTENANCE_BACKOFF);
    disk_fill();
    assert_non_null(weave_maintenance_write(entries, folder, pool));
    assert_int_equal(mode_of(reads(), NULL), WEAVE_MAINTENANCE_ON);
    return 0;
}

static void has_room_on_a_full_disk(void **state)
{
    pid_t pid = fork();
    int status = -1;

    (void)state;
    assert_true(pid >= 0);
    if (pid == 0)
        _exit(on_a_full_disk());
    assert_int_equal(waitpid(pid, &status, 0), pid);
    if (status == 77 << 8)
        skip(); /* only root mounts */
    assert_int_equal(status, 0);
}

static const char *locks(const char *dir, int make)
{
    int lock = -1;
    const char *problem = weave_maintenance_lock(&lock, dir, make, 60, pool);

    if (problem)
        assert_int_equal(lock, -1);
    else
        close(lock);
    return problem;
}

static void refuses(const char *dir, int make, const char *why)
{
    const char *problem = locks(dir, make);

    if (!problem || !strstr(problem, why) || !strstr(problem, dir))
        fail_msg("'%s' is not in '%s'", why, problem ? problem : "");
}

static int lock_as_nobody(void)
{
    return locks(folder, 0) ? 0 : 1;
}

static void wants_a_folder_of_its_own(void **state)
{
    const char *made = in_folder("made"), *file = file_write("file", "");
    struct stat status;

    (void)state;
    refuses(made, 0, "No such file");
    umask(077); /* httpd's children have to enter it all the same */
    assert_null(locks(made, 1));
    umask(022);
    assert_int_equal(stat(made, &status), 0);
    assert_int_equal(status.st_mode & 07777, 0711);
    assert_null(locks(made, 1));
    assert_int_equal(chmod(made, 0775), 0);
    refuses(made, 1, "can be written by others");
    assert_int_equal(chmod(made, 0757), 0);
    refuses(made, 1, "can be written by others");
    assert_int_equal(chmod(made, 01777), 0);
    refuses(made, 1, "can be written by others");
    unlink(apr_pstrcat(pool, made, "/" WEAVE_MAINTENANCE_LOCK, NULL));
    rmdir(made);
    refuses(file, 1, "no folder");
    refuses(in_folder("file/below"), 1, "Not a directory");
    refuses(in_folder("not/there"), 1, "No such file");
    if (geteuid() != 0)
        return;
    assert_int_equal(chmod(folder, 0755), 0);
    assert_int_equal(as_nobody(lock_as_nobody), 0);
    assert_int_equal(chown(folder, NOBODY, NOBODY), 0);
    refuses(folder, 1, "belongs to nobody");
}

static int check_as_nobody(void)
{
    const char *problem = weave_maintenance_dir_check(in_folder("made"), pool);

    return problem && strstr(problem, "Permission denied") ? 0 : 1;
}

/* configtest says what the start would: that it cannot be made. */
static void checks_the_folder_above(void **state)
{
    (void)state;
    assert_null(weave_maintenance_dir_check(in_folder("made"), pool));
    assert_non_null(weave_maintenance_dir_check(in_folder("not/there"), pool));
    assert_int_equal(chmod(folder, 0555), 0);
    assert_int_equal(as_nobody(check_as_nobody), 0);
    assert_int_equal(chmod(folder, 0700), 0);
    assert_int_not_equal(access(in_folder("made"), F_OK), 0);
}

static void follows_no_link_to_a_lock(void **state)
{
    (void)state;
    assert_int_equal(
        symlink(in_folder("precious"), in_folder(WEAVE_MAINTENANCE_LOCK)), 0);
    refuses(folder, 1, "cannot be opened");
    assert_int_not_equal(access(in_folder("precious"), F_OK), 0);
}

/* Another process holds it, then it is gone without a word. */
static void waits_for_the_lock(void **state)
{
    apr_time_t begin;
    int ready[2], lock = -1;
    char byte;
    pid_t pid;

    (void)state;
    assert_int_equal(pipe(ready), 0);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        if (weave_maintenance_lock(&lock, folder, 0, 1000, pool))
            _exit(1);
        (void)!write(ready[1], "", 1);
        for (;;)
            pause();
    }
    assert_int_equal(read(ready[0], &byte, 1), 1);
    begin = apr_time_now();
    refuses(folder, 0, "somebody else holds");
    assert_true(apr_time_now() - begin >= 59000);
    kill(pid, SIGKILL);
    assert_null(weave_maintenance_lock(&lock, folder, 0, 60000, pool));
    close(lock);
    waitpid(pid, NULL, 0);
    close(ready[0]);
    close(ready[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TIDY(keeps_the_old_file),        TIDY(has_room_on_a_full_disk),
        TIDY(wants_a_folder_of_its_own), TIDY(checks_the_folder_above),
        TIDY(follows_no_link_to_a_lock), TIDY(waits_for_the_lock),
    };

    return run_each(tests);
}
