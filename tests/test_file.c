/* SPDX-License-Identifier: Apache-2.0 */
/* Reading files that others may exchange: only regular ones, bounded, at once.
 */

#include "conf_support.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "weave_file.h"

#define MOST 4096

static weave_file_t file;

static apr_status_t read_at(const char *name)
{
    alarm(10); /* a test that hangs has failed */
    memset(&file, 0, sizeof(file));
    return weave_file_read(&file, AT_FDCWD, name, MOST, pool);
}

static void assert_why(apr_status_t rv, const char *text)
{
    const char *why = weave_file_error_text(rv, MOST, pool);

    if (strncmp(why, text, strlen(text)) != 0)
        fail_msg("'%s' does not begin with '%s'", why, text);
}

static const char *to_remove(const char *name)
{
    const char *path = in_folder(name);

    APR_ARRAY_PUSH(written, const char *) = path;
    return path;
}

static void files_are_read(void **state)
{
    static const apr_size_t sizes[] = {0, 1, 100, MOST - 1, MOST};
    char data[MOST + 1];
    apr_size_t i;

    (void)state;
    memset(data, 'x', sizeof(data));
    for (i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
        const char *path = file_write_bytes("file", data, sizes[i]);

        assert_int_equal(read_at(path), APR_SUCCESS);
        assert_int_equal(file.bytes, sizes[i]);
        assert_int_equal(file.status.st_size, sizes[i]);
        assert_int_equal(file.status.st_uid, geteuid());
        assert_memory_equal(file.data, data, sizes[i]);
        assert_int_equal(file.data[sizes[i]], '\0');
    }
    assert_int_equal(read_at(file_write_bytes("file", data, MOST + 1)),
                     WEAVE_FILE_LONG);
    assert_null(file.data);
    assert_why(WEAVE_FILE_LONG, "larger than 4 KiB");
}

static void size_says_nothing(void **state)
{
    int fd;

    (void)state;
    assert_int_equal(read_at("/proc/self/stat"), APR_SUCCESS);
    assert_int_equal(file.status.st_size, 0);
    assert_true(file.bytes > 50);
    fd = open(file_write("sparse", ""), O_WRONLY);
    assert_int_equal(ftruncate(fd, (off_t)1 << 40), 0);
    close(fd);
    assert_int_equal(read_at(in_folder("sparse")), WEAVE_FILE_LONG);
}

static void other_things_are_refused(void **state)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);

    (void)state;
    assert_int_equal(mkfifo(to_remove("fifo"), 0600), 0);
    assert_int_equal(read_at(in_folder("fifo")), WEAVE_FILE_OTHER);
    assert_int_equal(symlink("fifo", to_remove("link")), 0);
    assert_int_equal(read_at(in_folder("link")), WEAVE_FILE_OTHER);
    assert_int_equal(symlink("/dev/zero", to_remove("zero")), 0);
    assert_int_equal(read_at(in_folder("zero")), WEAVE_FILE_OTHER);
    apr_cpystrn(address.sun_path, to_remove("socket"),
                sizeof(address.sun_path));
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(read_at(in_folder("socket")), WEAVE_FILE_OTHER);
    close(fd);
    assert_int_equal(read_at(folder), WEAVE_FILE_OTHER);
    assert_why(WEAVE_FILE_OTHER, "not a regular file");
    assert_int_equal(read_at(in_folder("none")), ENOENT);
    assert_why(ENOENT, "cannot be read: No such file");
}

/* Whoever waits for a reader of a FIFO would see one. */
static void a_fifo_is_not_opened(void **state)
{
    const char *path = to_remove("fifo");
    int fd, i;

    (void)state;
    assert_int_equal(mkfifo(path, 0600), 0);
    for (i = 0; i < 100; i++) {
        assert_int_equal(read_at(path), WEAVE_FILE_OTHER);
        fd = open(path, O_WRONLY | O_NONBLOCK);
        assert_true(fd < 0 && errno == ENXIO);
    }
}

static int ready[2];

/* Has a write lease, which an opening has to wait for. */
static void lease_hold(void)
{
    int fd = open(in_folder("leased"), O_WRONLY);

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (fcntl(fd, F_SETLEASE, F_WRLCK) < 0)
        _exit(1);
    signal(SIGIO, SIG_IGN);
    if (write(ready[1], "", 1) < 0)
        _exit(1);
    pause();
}

static void a_lease_delays_nothing(void **state)
{
    char byte;
    pid_t pid;

    (void)state;
    file_write("leased", "text");
    assert_int_equal(pipe(ready), 0);
    pid = in_child(lease_hold);
    close(ready[1]);
    if (read(ready[0], &byte, 1) == 1) /* not every file system has them */
        assert_int_equal(read_at(in_folder("leased")), EWOULDBLOCK);
    close(ready[0]);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
}

static void names_are_below_the_folder(void **state)
{
    int dir = open(folder, O_PATH | O_DIRECTORY);
    struct stat status;
    int fd;

    (void)state;
    file_write("one", "text");
    assert_int_equal(weave_file_read(&file, dir, "one", MOST, pool), 0);
    assert_string_equal(file.data, "text");
    assert_int_equal(weave_file_open(&fd, &status, dir, "one"), 0);
    assert_int_equal(status.st_size, 4);
    assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
    close(fd);
    assert_int_equal(weave_file_open(&fd, NULL, dir, "two"), ENOENT);
    close(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        each(files_are_read),           each(size_says_nothing),
        each(other_things_are_refused), each(a_fifo_is_not_opened),
        each(a_lease_delays_nothing),   each(names_are_below_the_folder),
    };

    return run_each(tests);
}
