/* SPDX-License-Identifier: Apache-2.0 */
/* test_answer.c: what a worker may send as the answer to one request */

#include "conf_support.h"

#include "weave_answer.h"

static weave_answer_t answer;

static int takes_with(weave_frame_type_e type, int flags, size_t bytes, int fd)
{
    weave_frame_t frame = weave_frame_make(type, flags, bytes, 1);

    return !weave_answer_take(&answer, &frame, fd);
}

static int takes(weave_frame_type_e type, int flags, size_t bytes)
{
    return takes_with(type, flags, bytes, 0);
}

/* A head that announces LENGTH, with BODY bytes behind it. */
static int takes_head(int64_t length, size_t body, int flags)
{
    weave_frame_head_t head = {length, 200, 0, 4, 0};
    weave_frame_t frame =
        weave_frame_make(WEAVE_FRAME_HEAD, flags, sizeof(head) + 4 + body, 1);

    return !weave_answer_take(&answer, &frame, 0) &&
           !weave_answer_head(&answer, &frame, &head);
}

static int takes_file(int64_t offset, int64_t length, int flags, int fd)
{
    weave_frame_file_t file = {offset, length};
    weave_frame_t frame =
        weave_frame_make(WEAVE_FRAME_FILE, flags, sizeof(file), 1);

    return !weave_answer_take(&answer, &frame, fd) &&
           !weave_answer_file(&answer, &frame, &file);
}

static void begin(int may_read)
{
    weave_answer_begin(&answer, 1, may_read, 0);
}

static void has_one_head_and_a_body_of_its_length(void **state)
{
    (void)state;
    begin(0);
    assert_false(takes(WEAVE_FRAME_DATA, 0, 5));
    begin(0);
    assert_true(takes_head(10, 4, 0));
    assert_true(takes(WEAVE_FRAME_DATA, WEAVE_FRAME_FLUSH, 5));
    assert_true(takes(WEAVE_FRAME_DATA, WEAVE_FRAME_LAST, 1));
    assert_false(takes(WEAVE_FRAME_DATA, 0, 1)); /* it is over */
    begin(0);
    assert_true(takes_head(10, 4, 0));
    assert_false(takes(WEAVE_FRAME_DATA, 0, 7));
    begin(0);
    assert_true(takes_head(10, 4, 0));
    assert_false(takes(WEAVE_FRAME_DATA, WEAVE_FRAME_LAST, 5));
    begin(0);
    assert_true(takes_head(-1, 0, 0));
    assert_false(takes_head(-1, 0, 0));
    assert_false(takes(WEAVE_FRAME_DATA, WEAVE_FRAME_FLUSH, 0));
    assert_true(takes(WEAVE_FRAME_DATA, WEAVE_FRAME_LAST, 0));
}

static void refuses_heads_whose_numbers_lie(void **state)
{
    weave_frame_head_t head = {0, 200, 2, 4, 0};
    weave_frame_t frame =
        weave_frame_make(WEAVE_FRAME_HEAD, 0, sizeof(head) + 4, 1);

    (void)state;
    begin(0);
    assert_non_null(weave_answer_head(&answer, &frame, &head));
    head.headers = 1;
    assert_null(weave_answer_head(&answer, &frame, &head));
    head.strings = 5;
    assert_non_null(weave_answer_head(&answer, &frame, &head));
    head.strings = 4;
    head.status = 101;
    assert_non_null(weave_answer_head(&answer, &frame, &head));
    head.status = 200;
    head.content_length = -2;
    assert_non_null(weave_answer_head(&answer, &frame, &head));
    frame.bytes = sizeof(head) + WEAVE_ANSWER_TEXT_MAX + 1;
    head.content_length = 0;
    head.strings = WEAVE_ANSWER_TEXT_MAX + 1;
    assert_non_null(weave_answer_head(&answer, &frame, &head));
}

static void has_one_file_and_one_descriptor(void **state)
{
    int flags = WEAVE_FRAME_FD | WEAVE_FRAME_FLUSH;

    (void)state;
    begin(0);
    assert_false(takes_file(0, 1, flags, 1)); /* before its head */
    begin(0);
    assert_true(takes_head(-1, 0, 0));
    assert_true(takes_file(0, 0, flags, 1));
    assert_false(takes_file(0, 0, flags, 1));
    assert_false(takes(WEAVE_FRAME_DATA, 0, 1));
    assert_true(takes(WEAVE_FRAME_LOG, 0, 8));
    assert_true(takes(WEAVE_FRAME_END, 0, 8));
    begin(0);
    assert_true(takes_head(-1, 0, 0));
    assert_false(takes_file(0, 1, flags, 0));
    assert_false(takes_file(0, 1, 0, 1));
    assert_false(takes_file(1, INT64_MAX, flags, 1));
    assert_false(takes_with(WEAVE_FRAME_LOG, 0, 8, 1));
    assert_false(takes_with(WEAVE_FRAME_LOG, WEAVE_FRAME_FD, 8, 0));
}

static void is_asked_for_no_body_that_is_there(void **state)
{
    (void)state;
    begin(0);
    assert_false(takes(WEAVE_FRAME_READ, 0, 8));
    begin(1);
    assert_true(takes(WEAVE_FRAME_READ, 0, 8));
    assert_true(takes(WEAVE_FRAME_READ, 0, 8));
    assert_false(takes(WEAVE_FRAME_REFUSED, 0, 0)); /* some of it has gone */
    answer.may_read = 0;
    assert_false(takes(WEAVE_FRAME_READ, 0, 8));
}

static void bounds_its_lines(void **state)
{
    uint32_t i;

    (void)state;
    begin(0);
    for (i = 0; i < WEAVE_ANSWER_LINES_MAX; i++)
        assert_true(takes(WEAVE_FRAME_LOG, 0, 8 + 100));
    assert_false(takes(WEAVE_FRAME_LOG, 0, 8));
    begin(0);
    for (i = 0; i < WEAVE_ANSWER_LINES_BYTES / WEAVE_FRAME_LINE_MAX; i++)
        assert_true(takes(WEAVE_FRAME_LOG, 0, 8 + WEAVE_FRAME_LINE_MAX));
    assert_false(takes(WEAVE_FRAME_LOG, 0, 8 + 1));
    assert_true(takes(WEAVE_FRAME_LOG, 0, 8));
}

static void ends_once(void **state)
{
    static const weave_frame_type_e ends[] = {
        WEAVE_FRAME_END, WEAVE_FRAME_CANCELLED, WEAVE_FRAME_REFUSED};
    size_t i;

    (void)state;
    for (i = 0; i < sizeof(ends) / sizeof(*ends); i++) {
        begin(0);
        assert_true(takes(ends[i], 0, 8));
        assert_false(takes(WEAVE_FRAME_LOG, 0, 8));
    }
    begin(0);
    assert_non_null(weave_answer_end(&answer));
    begin(0);
    assert_true(takes_head(2, 1, 0));
    assert_false(takes(WEAVE_FRAME_REFUSED, 0, 0));
    assert_non_null(weave_answer_end(&answer));
}

static void takes_nothing_that_is_no_answer(void **state)
{
    static const weave_frame_type_e others[] = {
        WEAVE_FRAME_HELLO, WEAVE_FRAME_WELCOME, WEAVE_FRAME_REQUEST,
        WEAVE_FRAME_BODY, WEAVE_FRAME_CANCEL};
    weave_frame_t other = weave_frame_make(WEAVE_FRAME_END, 0, 8, 2);
    size_t i;

    (void)state;
    begin(1);
    for (i = 0; i < sizeof(others) / sizeof(*others); i++)
        assert_false(takes(others[i], 0, 8));
    assert_false(takes(WEAVE_FRAME_END, WEAVE_FRAME_LAST, 8));
    assert_non_null(weave_answer_take(&answer, &other, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        each(has_one_head_and_a_body_of_its_length),
        each(refuses_heads_whose_numbers_lie),
        each(has_one_file_and_one_descriptor),
        each(is_asked_for_no_body_that_is_there),
        each(bounds_its_lines),
        each(ends_once),
        each(takes_nothing_that_is_no_answer),
    };

    return run_each(tests);
}
