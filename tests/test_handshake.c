/* SPDX-License-Identifier: Apache-2.0 */
/* test_handshake.c: HELLO, and WELCOME in pieces */

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "weave_control.h"
#include "weave_handshake.h"

static int ends[2];
static weave_welcome_part_t part;
static weave_welcome_t got;

static const weave_welcome_t welcome = {4711, 3, 17, 0};

static int setup(void **state)
{
    (void)state;
    part = WEAVE_WELCOME_NOTHING;
    memset(&got, 0, sizeof(got));
    return socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends);
}

static int teardown(void **state)
{
    (void)state;
    weave_welcome_drop(&part);
    close(ends[0]);
    if (ends[1] >= 0)
        close(ends[1]);
    return 0;
}

static weave_frame_t head(void)
{
    return weave_frame_make(WEAVE_FRAME_WELCOME, WEAVE_FRAME_FD,
                            sizeof(welcome), 0);
}

/* FRAME and PAYLOAD bytes of a WELCOME. */
static size_t told(char *data, weave_frame_t frame, size_t payload)
{
    memcpy(data, &frame, sizeof(frame));
    memcpy(data + sizeof(frame), &welcome, payload);
    return sizeof(frame) + payload;
}

static apr_status_t receives(void)
{
    return weave_welcome_receive(&got, &part, ends[0], MSG_DONTWAIT);
}

static void hello_says_who(void **state)
{
    static const weave_secret_t secret = {"a secret"};
    weave_hello_frame_t hello =
        weave_hello_make(WEAVE_ROLE_SUPERVISOR, &secret);
    weave_frame_t frame;

    (void)state;
    assert_int_equal(
        weave_frame_decode(&frame, (const char *)&hello, sizeof(hello)),
        WEAVE_FRAME_OK);
    assert_int_equal(frame.type, WEAVE_FRAME_HELLO);
    assert_int_equal(hello.hello.role, WEAVE_ROLE_SUPERVISOR);
    assert_int_equal(hello.hello.pid, getpid());
    assert_true(weave_secret_is_same(&hello.hello.secret, &secret));
}

static void takes_it_byte_by_byte(void **state)
{
    char data[100], rest[100];
    size_t len = told(data, head(), sizeof(welcome)), i;

    (void)state;
    for (i = 0; i < len; i++) {
        assert_int_equal(receives(), EAGAIN);
        /* two descriptors: the first one is kept */
        assert_int_equal(
            weave_fd_send(ends[1], data + i, 1, i < 2 ? ends[1] : -1, 0), 1);
        if (i + 1 < len)
            assert_int_equal(receives(), APR_EAGAIN);
    }
    assert_int_equal(weave_fd_send(ends[1], "{}", 2, -1, 0), 2);
    assert_int_equal(receives(), APR_SUCCESS);
    assert_memory_equal(&got, &welcome, sizeof(got));
    assert_true(part.board_fd >= 0);
    assert_int_equal(fcntl(part.board_fd, F_GETFD), FD_CLOEXEC);
    /* what comes behind it is another one's */
    assert_int_equal(recv(ends[0], rest, sizeof(rest), 0), 2);
    weave_welcome_drop(&part);
    assert_int_equal(part.board_fd, -1);
    weave_welcome_drop(&part);
}

static void refuses_what_is_none(void **state)
{
    static const struct {
        apr_status_t rv;
        int type, version;
        uint32_t magic;
    } cases[] = {
        {EPROTO, WEAVE_FRAME_WELCOME, WEAVE_FRAME_VERSION + 1,
         WEAVE_FRAME_MAGIC},
        {EBADMSG, WEAVE_FRAME_WELCOME, WEAVE_FRAME_VERSION, 7},
        {EBADMSG, WEAVE_FRAME_HELLO, WEAVE_FRAME_VERSION, WEAVE_FRAME_MAGIC},
        {EBADMSG, WEAVE_FRAME_READ, WEAVE_FRAME_VERSION, WEAVE_FRAME_MAGIC},
    };
    char data[100];
    size_t i;

    (void)state;
    for (i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        weave_frame_t frame = head();
        size_t len;

        frame.magic = cases[i].magic;
        frame.version = (uint16_t)cases[i].version;
        frame.type = (uint8_t)cases[i].type;
        len = told(data, frame, 4);
        part = WEAVE_WELCOME_NOTHING;
        assert_int_equal(weave_fd_send(ends[1], data, len, -1, 0), len);
        assert_int_equal(receives(), cases[i].rv);
    }
}

static void sees_the_end(void **state)
{
    char data[100];

    (void)state;
    told(data, head(), 4);
    assert_int_equal(weave_fd_send(ends[1], data, 18, 0, 0), 18);
    close(ends[1]);
    ends[1] = -1;
    assert_int_equal(receives(), APR_EAGAIN);
    assert_int_equal(receives(), APR_EOF);
    assert_true(part.board_fd >= 0); /* closed by weave_welcome_drop */
}

#define EACH(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        EACH(hello_says_who),
        EACH(takes_it_byte_by_byte),
        EACH(refuses_what_is_none),
        EACH(sees_the_end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
