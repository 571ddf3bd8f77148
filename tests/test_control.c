/* SPDX-License-Identifier: Apache-2.0 */
/* test_control.c: JSON lines over sockets, and descriptors beside them */

#include "conf_support.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <apr_time.h>

#include "weave_control.h"
#include "weave_fd.h"

static int far;                 /* the other end */
static weave_control_t control; /* ours */

static int pair_setup(void **state)
{
    int ends[2];

    if (each_setup(state) ||
        socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0)
        return -1;
    control = (weave_control_t){.fd = ends[0]};
    far = ends[1];
    return 0;
}

static int pair_teardown(void **state)
{
    weave_control_close(&control);
    close(far);
    return each_teardown(state);
}

static void says(const char *text)
{
    assert_int_equal(write(far, text, strlen(text)), strlen(text));
}

static void passes(const char *text, int fd)
{
    assert_int_equal(weave_fd_send(far, text, strlen(text), fd, 0),
                     strlen(text));
}

static apr_status_t hear(json_t **message, int *pass, int timeout_ms)
{
    *message = NULL;
    *pass = -1;
    return weave_control_receive(&control, message, pass, timeout_ms);
}

/* The next message is {"n":N}, and brings a descriptor or none. */
static int hears(int n)
{
    json_t *message;
    int pass;

    assert_int_equal(hear(&message, &pass, 60000), APR_SUCCESS);
    assert_int_equal(json_integer_value(json_object_get(message, "n")), n);
    json_decref(message);
    return pass;
}

static void hears_not(apr_status_t rv)
{
    json_t *message;
    int pass;

    assert_int_equal(hear(&message, &pass, 0), rv);
    assert_null(message);
    assert_int_equal(pass, -1);
}

static int same_file(int one, int other)
{
    struct stat a, b;

    return fstat(one, &a) == 0 && fstat(other, &b) == 0 &&
           a.st_ino == b.st_ino && a.st_dev == b.st_dev;
}

static int open_fds(void)
{
    int fd, count = 0;

    for (fd = 0; fd < 256; fd++)
        count += fcntl(fd, F_GETFD) >= 0;
    return count;
}

static void joins_pieces(void **state)
{
    const char *text = "{\"n\": 1}\n";

    (void)state;
    for (; *text; text++) {
        hears_not(APR_EAGAIN);
        assert_int_equal(write(far, text, 1), 1);
    }
    assert_int_equal(hears(1), -1);
    hears_not(APR_EAGAIN);
}

static void splits_reads(void **state)
{
    (void)state;
    says("{\"n\":1}\n{\"n\":2}\r\n {\"n\":3} \n{\"n\":");
    assert_int_equal(hears(1), -1);
    assert_int_equal(hears(2), -1);
    assert_int_equal(hears(3), -1);
    hears_not(APR_EAGAIN);
    says("4}\n");
    assert_int_equal(hears(4), -1);
}

static void refuses_what_is_no_object(void **state)
{
    (void)state;
    says("rubbish\n[1]\n\n1\n{\"n\":1,\"n\":2}\n{\"n\":\"\xff\"}\n"
         "{\"n\":1}x\n{\"n\":5}\n");
    hears_not(APR_EINVAL);
    hears_not(APR_EINVAL);
    hears_not(APR_EINVAL);
    hears_not(APR_EINVAL);
    hears_not(APR_EINVAL);
    hears_not(APR_EINVAL);
    hears_not(APR_EINVAL);
    hears(5);
}

static void tells_the_end(void **state)
{
    (void)state;
    says("{\"n\":1}\n{\"n\":");
    close(far);
    far = -1;
    hears(1);
    hears_not(APR_EOF);
    hears_not(APR_EOF);
}

static void waits_for_what_comes(void **state)
{
    apr_time_t begin = apr_time_now();
    json_t *message;
    int pass, status;
    pid_t pid;

    (void)state;
    assert_int_equal(hear(&message, &pass, 30), APR_EAGAIN);
    assert_true(apr_time_now() - begin >= 29000);
    pid = fork();
    if (pid == 0) {
        usleep(20000);
        _exit(write(far, "{\"n\":", 5) == 5 && usleep(20000) == 0 &&
                      write(far, "1}\n", 3) == 3
                  ? 0
                  : 1);
    }
    hears(1);
    waitpid(pid, &status, 0);
    assert_int_equal(status, 0);
}

static void sends_lines(void **state)
{
    json_t *message = json_pack("{s:s}", "text", "a\nb \"c\" \xc3\xbc");
    char got[100];
    ssize_t bytes;

    (void)state;
    assert_int_equal(weave_control_send(far, message, -1, 0), APR_SUCCESS);
    bytes = read(control.fd, got, sizeof(got));
    assert_true(bytes > 1);
    assert_int_equal(got[bytes - 1], '\n');
    got[bytes - 1] = '\0';
    assert_string_equal(got, "{\"text\":\"a\\nb \\\"c\\\" \xc3\xbc\"}");
    json_decref(message);
}

static void gives_up_sending(void **state)
{
    char *text = apr_pcalloc(pool, 4 << 20);
    apr_time_t begin = apr_time_now();
    json_t *message;

    (void)state;
    memset(text, 'x', (4 << 20) - 1);
    message = json_pack("{s:s}", "text", text);
    assert_int_equal(weave_control_send(far, message, -1, 50), APR_EAGAIN);
    assert_true(apr_time_now() - begin >= 49000);
    close(control.fd);
    control.fd = -1;
    /* nobody is there: an error, no SIGPIPE */
    assert_int_equal(weave_control_send(far, message, -1, 50), EPIPE);
    json_decref(message);
}

/* More than any buffer of a socket holds, as a spec may be. */
static void carries_long_lines(void **state)
{
    size_t len = 3 << 20;
    char *text = apr_pcalloc(pool, len + 1);
    json_t *message, *got;
    int pass, status, file = open("/dev/null", O_RDONLY);
    pid_t pid;

    (void)state;
    memset(text, 'x', len);
    message = json_pack("{s:s}", "text", text);
    pid = fork();
    if (pid == 0) {
        int rv = weave_control_send(far, message, file, 60000);

        _exit(rv || weave_fd_send(far, "{\"n\":2}\n", 8, far, 0) != 8);
    }
    assert_int_equal(hear(&got, &pass, 60000), APR_SUCCESS);
    assert_true(json_equal(got, message));
    assert_true(same_file(pass, file));
    close(pass);
    close(file);
    pass = hears(2);
    assert_true(same_file(pass, far));
    close(pass);
    waitpid(pid, &status, 0);
    assert_int_equal(status, 0);
    json_decref(got);
    json_decref(message);
}

static void refuses_too_long_lines(void **state)
{
    char chunk[65536];
    int rv = APR_EAGAIN, count = 0;
    json_t *message;
    int pass;

    (void)state;
    memset(chunk, ' ', sizeof(chunk));
    while (rv == APR_EAGAIN && count++ < 1000) {
        assert_true(send(far, chunk, sizeof(chunk), MSG_DONTWAIT) > 0);
        rv = hear(&message, &pass, 0);
    }
    assert_int_equal(rv, APR_EINVAL);
    assert_true(control.room <= (size_t)WEAVE_CONTROL_LINE_MAX);
}

/* A peer that may say little takes little memory, however much it sends. */
static void bounds_lines_and_memory(void **state)
{
    char chunk[1000];

    (void)state;
    control.line_max = 600;
    says("{\"n\":1}\n{\"n\":2}\n{");
    hears(1);
    assert_true(weave_control_has_line(&control));
    hears(2);
    assert_false(weave_control_has_line(&control));
    memset(chunk, ' ', sizeof(chunk));
    assert_int_equal(write(far, chunk, 590), 590);
    says("\"n\":3}\n");
    hears(3);
    assert_int_equal(write(far, chunk, sizeof(chunk)), sizeof(chunk));
    hears_not(APR_EINVAL);
    assert_true(control.room <= 600);
}

/* The memory of one long line is given back. */
static void gives_memory_back(void **state)
{
    char *text = apr_pcalloc(pool, 100000);

    (void)state;
    memset(text, ' ', 99990);
    says(apr_pstrcat(pool, text, "{\"n\":1}\n", NULL));
    hears(1);
    assert_int_equal(control.room, 0);
    says("{\"n\":2}\n");
    hears(2);
}

/* ---- descriptors ---- */

static void brings_descriptors(void **state)
{
    int file = open("/dev/null", O_RDONLY), got;

    (void)state;
    passes("{\"n\":1}\n", file);
    got = hears(1);
    assert_true(got > file);
    assert_true(same_file(got, file));
    assert_int_equal(fcntl(got, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
    close(got);
    close(file);
    says("{\"n\":2}\n");
    assert_int_equal(hears(2), -1);
}

/* The kernel reads on from lines without into the one that brings it. */
static void knows_whose_descriptor(void **state)
{
    int null = open("/dev/null", O_RDONLY), got;

    (void)state;
    says("{\"n\":1}\n{\"n\":2}\n");
    passes("{\"n\":3}\n", null);
    says("{\"n\":4}\n");
    passes("{\"n\":5}\n{\"n\":6}\n", far);
    assert_int_equal(hears(1), -1);
    assert_int_equal(hears(2), -1);
    got = hears(3);
    assert_true(same_file(got, null));
    close(got);
    assert_int_equal(hears(4), -1);
    assert_int_equal(hears(5), -1);
    got = hears(6);
    assert_true(same_file(got, far));
    close(got);
    close(null);
}

/* A line in pieces keeps its own, whatever comes with the next line. */
static void keeps_descriptors_of_pieces(void **state)
{
    int null = open("/dev/null", O_RDONLY), got;

    (void)state;
    passes("{\"n\"", null);
    hears_not(APR_EAGAIN);
    says(":1}\n");
    passes("{\"n\":2}\n", far);
    got = hears(1);
    assert_true(same_file(got, null));
    close(got);
    got = hears(2);
    assert_true(same_file(got, far));
    close(got);
    close(null);
}

static void sends_two(void)
{
    char bytes[CMSG_SPACE(4 * sizeof(int))] = {0};
    struct iovec part = {"{\"n\":1}\n", 8};
    struct msghdr message = {.msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = bytes,
                             .msg_controllen = CMSG_SPACE(2 * sizeof(int))};
    struct cmsghdr *head = CMSG_FIRSTHDR(&message);
    int fds[2] = {0, far};

    head->cmsg_level = SOL_SOCKET;
    head->cmsg_type = SCM_RIGHTS;
    head->cmsg_len = CMSG_LEN(sizeof(fds));
    memcpy(CMSG_DATA(head), fds, sizeof(fds));
    assert_int_equal(sendmsg(far, &message, 0), 8);
}

/* Whatever a peer sends, no descriptor stays open behind our back. */
static void leaks_no_descriptors(void **state)
{
    int before = open_fds(), i, got;

    (void)state;
    for (i = 0; i < 5; i++) {
        sends_two();
        got = hears(1);
        if (got >= 0)
            close(got);
        assert_int_equal(open_fds(), before);
        passes("{", far);
        hears_not(APR_EAGAIN);
        passes("\"n\":", far);
        hears_not(APR_EAGAIN);
        passes("2}\n", far);
        got = hears(2);
        assert_true(got >= 0);
        close(got);
        assert_int_equal(open_fds(), before);
        passes("rubbish\n", far);
        hears_not(APR_EINVAL);
        assert_int_equal(open_fds(), before);
    }
    passes("{", far);
    hears_not(APR_EAGAIN);
    weave_control_close(&control);
    assert_int_equal(open_fds(), before - 1);
    weave_control_close(&control);
}

/* A peer that is less trusted passes no files: to close one may mean to wait.
 */
static void takes_what_is_plain(void **state)
{
    int file = open("/dev/null", O_RDONLY), ends[2], got, before;

    (void)state;
    assert_int_equal(pipe(ends), 0);
    control.passes = WEAVE_PASS_PLAIN;
    passes("{\"n\":1}\n", ends[0]);
    got = hears(1);
    assert_true(same_file(got, ends[0]));
    close(got);
    control.passes = WEAVE_PASS_NONE;
    before = open_fds();
    passes("{\"n\":2}\n", ends[0]);
    passes("{\"n\":3}\n", file);
    sends_two();
    assert_int_equal(hears(2), -1);
    assert_int_equal(hears(3), -1);
    assert_int_equal(hears(1), -1);
    assert_int_equal(open_fds(), before);
    control.passes = WEAVE_PASS_PLAIN;
    passes("{\"n\":4}\n", file);
    hears_not(APR_EINVAL);
    close(ends[0]);
    close(ends[1]);
    close(file);
}

static void knows_its_peer(void **state)
{
    long uid = -1, pid = -1;

    (void)state;
    assert_int_equal(weave_socket_peer(control.fd, &uid, &pid), 0);
    assert_int_equal(uid, geteuid());
    assert_int_equal(pid, getpid());
    assert_int_equal(weave_socket_peer(-1, &uid, &pid), EBADF);
}

/* A path need not be UTF-8, and a message about it has to arrive. */
static void makes_text(void **state)
{
    static const struct {
        const char *text, *shown;
    } cases[] = {
        {"", ""},
        {"/srv/\xc3\xa4\n", "/srv/\xc3\xa4\n"},
        {"/srv/\xc3\xa4\xff\xc3", "/srv/\xc3\xa4\\xff\\xc3"},
    };
    size_t i;

    (void)state;
    for (i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        json_t *made = weave_control_text(cases[i].text, pool);

        assert_string_equal(json_string_value(made), cases[i].shown);
        json_decref(made);
    }
    assert_true(json_is_null(weave_control_text(NULL, pool)));
}

#define PAIR(test)                                                             \
    cmocka_unit_test_setup_teardown(test, pair_setup, pair_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        PAIR(joins_pieces),
        PAIR(splits_reads),
        PAIR(refuses_what_is_no_object),
        PAIR(tells_the_end),
        PAIR(waits_for_what_comes),
        PAIR(sends_lines),
        PAIR(gives_up_sending),
        PAIR(carries_long_lines),
        PAIR(refuses_too_long_lines),
        PAIR(bounds_lines_and_memory),
        PAIR(gives_memory_back),
        PAIR(brings_descriptors),
        PAIR(knows_whose_descriptor),
        PAIR(keeps_descriptors_of_pieces),
        PAIR(leaks_no_descriptors),
        PAIR(takes_what_is_plain),
        PAIR(knows_its_peer),
        PAIR(makes_text),
    };

    return run_each(tests);
}
