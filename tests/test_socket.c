/* SPDX-License-Identifier: Apache-2.0 */
/* test_socket.c: whoever listens must be the one who is meant */

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "weave_fd.h"

#define SOMEBODY 65534

static char folder[] = "/tmp/weave-socket-XXXXXX";
static char path[sizeof(folder) + 8];

static int setup(void **state)
{
    (void)state;
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof(path), "%s/socket", folder);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    rmdir(folder);
    return 0;
}

/* A socket that UID listens on: its process has ended by then. */
static int listens(uid_t uid, int backlog)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), status;
    pid_t pid;

    memcpy(address.sun_path, path, sizeof(path));
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    pid = fork();
    if (pid == 0)
        _exit((uid != geteuid() && setuid(uid) < 0) || listen(fd, backlog) < 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    return fd;
}

static void connects_to_its_owner(void **state)
{
    int listener = listens(geteuid(), 4), fd = -1;
    long uid = -1, pid = -1;
    char byte;

    (void)state;
    assert_int_equal(weave_socket_connect(&fd, path, geteuid(), 0), 0);
    assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
    assert_int_equal(fcntl(fd, F_GETFL) & O_NONBLOCK, 0);
    assert_int_equal(weave_socket_peer(fd, &uid, &pid), 0);
    assert_int_equal(uid, geteuid());
    assert_int_not_equal(pid, getpid());
    close(fd);
    assert_int_equal(
        weave_socket_connect(&fd, path, geteuid(), WEAVE_SOCKET_NONBLOCK), 0);
    assert_int_equal(read(fd, &byte, 1), -1);
    assert_int_equal(errno, EAGAIN);
    close(fd);
    close(listener);
    unlink(path);
}

/* Neither who has made the file counts, nor who holds the socket now. */
static void sends_nothing_to_others(void **state)
{
    int listener, fd = -1, accepted;
    char byte;

    (void)state;
    if (geteuid() != 0)
        skip();
    listener = listens(SOMEBODY, 4);
    assert_int_equal(weave_socket_connect(&fd, path, 0, 0), EPERM);
    assert_int_equal(fd, -1);
    accepted = accept(listener, NULL, NULL);
    assert_int_equal(read(accepted, &byte, 1), 0);
    close(accepted);
    assert_int_equal(weave_socket_connect(&fd, path, SOMEBODY, 0), 0);
    close(fd);
    close(listener);
    unlink(path);
}

static void says_why_not(void **state)
{
    char longer[200] = {0};
    int listener, fds[3], i;

    (void)state;
    memset(longer, 'x', sizeof(longer) - 1);
    assert_int_equal(weave_socket_connect(fds, longer, geteuid(), 0),
                     APR_ENAMETOOLONG);
    assert_int_equal(weave_socket_connect(fds, path, geteuid(), 0), ENOENT);
    assert_int_equal(weave_socket_peer(-1, NULL, NULL), EBADF);
    listener = listens(geteuid(), 1);
    for (i = 0; i < 2; i++)
        assert_int_equal(weave_socket_connect(&fds[i], path, geteuid(),
                                              WEAVE_SOCKET_NONBLOCK),
                         0);
    assert_int_equal(
        weave_socket_connect(&fds[2], path, geteuid(), WEAVE_SOCKET_NONBLOCK),
        EAGAIN);
    close(fds[0]);
    close(fds[1]);
    close(listener);
    assert_int_equal(weave_socket_connect(fds, path, geteuid(), 0),
                     ECONNREFUSED);
    unlink(path);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(connects_to_its_owner),
        cmocka_unit_test(sends_nothing_to_others),
        cmocka_unit_test(says_why_not),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
