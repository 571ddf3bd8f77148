/* SPDX-License-Identifier: Apache-2.0 */
/* test_maintenance_board.c: maintenance in shared memory */

#include "maintenance_board_support.h"

#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define WRITES 100000
#define CHANGES 100   /* that a reader is to see, however it has its turns */
#define ASIDE_US 8000 /* a turn of somebody else */
#define PATIENCE_US 20000 /* of a reader, at least */

/* ---- rows ---- */

/* One whose every field says the same. */
static void word_make(weave_maintenance_t *word, uint32_t number)
{
    memset(word, 0, sizeof(*word));
    word->mode = number % 3 + 1;
    word->retry_after_s = number;
    word->since_us = word->until_us = number;
    snprintf(word->by, sizeof(word->by), "%0100u", number);
    snprintf(word->message, sizeof(word->message), "%0500u", number);
}

static void is_whole(const weave_maintenance_t *word, uint32_t number)
{
    weave_maintenance_t same;

    word_make(&same, number);
    assert_memory_equal(word, &same, sizeof(same));
}

static void starts_off(void **state)
{
    weave_maintenance_t copy;
    uint32_t row;

    (void)state;
    assert_int_equal(board->epoch, 1);
    assert_int_equal(board->pid, getpid());
    assert_int_equal(board->tally_fd, -1);
    for (row = 0; row < WEAVE_MAINTENANCE_ROWS; row++) {
        weave_maintenance_row_get(&copy, board, row);
        assert_int_equal(copy.mode, WEAVE_MAINTENANCE_OFF);
        assert_int_equal(board->rows[row].mode, WEAVE_MAINTENANCE_OFF);
    }
}

static void keeps_rows_apart(void **state)
{
    weave_maintenance_t word, copy;

    (void)state;
    word_make(&word, 7);
    weave_maintenance_row_set(board, 3, &word);
    weave_maintenance_row_get(&copy, board, 3);
    is_whole(&copy, 7);
    assert_int_equal(board->rows[3].mode, word.mode);
    assert_int_equal(board->rows[3].serial, 2);
    weave_maintenance_row_get(&copy, board, 2);
    assert_int_equal(copy.mode, WEAVE_MAINTENANCE_OFF);
    weave_maintenance_row_get(&copy, board, 4);
    assert_int_equal(copy.mode, WEAVE_MAINTENANCE_OFF);
}

static void writes_all_the_time(void)
{
    weave_maintenance_t word;
    uint32_t number;

    for (number = 1; number <= WRITES || !board->rows[6].serial; number++) {
        word_make(&word, number);
        weave_maintenance_row_set(board, 5, &word);
    }
}

static void readers_see_whole_words(void **state)
{
    weave_maintenance_t copy;
    uint32_t last = 1, changes = 0;
    pid_t pid;

    (void)state;
    word_make(&copy, 1);
    weave_maintenance_row_set(board, 5, &copy);
    pid = in_child(writes_all_the_time);
    while (changes < CHANGES) {
        weave_maintenance_row_get(&copy, board, 5);
        if (!*copy.by) { /* the writer was put aside in the middle */
            assert_int_equal(copy.mode, WEAVE_MAINTENANCE_ON);
            continue;
        }
        is_whole(&copy, copy.retry_after_s);
        assert_true(copy.retry_after_s >= last);
        changes += copy.retry_after_s != last;
        last = copy.retry_after_s;
    }
    weave_maintenance_row_set(board, 6, &copy); /* enough */
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    weave_maintenance_row_get(&copy, board, 5);
    assert_true(copy.retry_after_s >= WRITES);
}

/* What it was about to say nobody knows; the next one writes on. */
static void outlives_a_writer(void **state)
{
    weave_maintenance_t word, copy;

    (void)state;
    word_make(&word, 1);
    word.mode = WEAVE_MAINTENANCE_BACKOFF;
    weave_maintenance_row_set(board, 5, &word);
    board->rows[5].serial++;
    board->rows[5].word.mode = WEAVE_MAINTENANCE_OFF;
    weave_maintenance_row_get(&copy, board, 5);
    assert_int_equal(copy.mode, WEAVE_MAINTENANCE_ON);
    assert_int_equal(copy.until_us, 0);
    assert_int_equal(copy.retry_after_s, 0);
    assert_string_equal(copy.by, "");
    assert_string_equal(copy.message, "");
    word_make(&word, 2);
    weave_maintenance_row_set(board, 5, &word);
    assert_int_equal(board->rows[5].serial & 1, 0);
    weave_maintenance_row_get(&copy, board, 5);
    is_whole(&copy, 2);
}

static void writes_with_a_pause(void)
{
    weave_maintenance_t word;

    while (!(board->rows[6].serial))
        sched_yield();
    word_make(&word, 3);
    usleep(ASIDE_US);
    weave_maintenance_row_set(board, 5, &word);
}

/* A 503 for a moment in which the writer had no processor is one too many. */
static void waits_for_a_writer(void **state)
{
    weave_maintenance_t word, copy;
    apr_time_t begin;
    pid_t pid;

    (void)state;
    word_make(&word, 2);
    weave_maintenance_row_set(board, 5, &word);
    pid = in_child(writes_with_a_pause);
    board->rows[5].serial++;
    weave_maintenance_row_set(board, 6, &word); /* go */
    begin = apr_time_now();
    weave_maintenance_row_get(&copy, board, 5);
    if (*copy.by)
        is_whole(&copy, 3);
    else /* it was away for longer than anybody waits */
        assert_true(apr_time_now() - begin >= PATIENCE_US);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    weave_maintenance_row_get(&copy, board, 5);
    is_whole(&copy, 3);
}

/* Whoever looks at `mode` alone may not take for OFF what is half an ON. */
static void is_never_off_by_accident(void **state)
{
    weave_maintenance_t off = {0}, on;
    int i;

    (void)state;
    word_make(&on, 2);
    on.mode = WEAVE_MAINTENANCE_ON;
    for (i = 0; i < 100; i++) {
        pid_t pid = fork();

        if (pid == 0)
            for (;;) {
                weave_maintenance_row_set(board, 5, &on);
                weave_maintenance_row_set(board, 5, &off);
            }
        usleep(1000 + 13 * (unsigned)i);
        kill(pid, SIGKILL);
        assert_int_equal(waitpid(pid, NULL, 0), pid);
        assert_true(board->rows[5].mode || !board->rows[5].word.mode);
    }
}

static void ends_texts(void **state)
{
    weave_maintenance_t word, copy;

    (void)state;
    memset(&word, 'x', sizeof(word));
    weave_maintenance_row_set(board, 5, &word);
    weave_maintenance_row_get(&copy, board, 5);
    assert_int_equal(strlen(copy.by), sizeof(copy.by) - 1);
    assert_int_equal(strlen(copy.message), sizeof(copy.message) - 1);
}

/* ---- publishing ---- */

static void add(apr_array_header_t *entries, const char *ini, uint32_t mode)
{
    weave_maintenance_t word = {.mode = mode};

    weave_maintenance_set(entries, ini, &word);
}

static uint32_t mode_of(uint32_t row)
{
    weave_maintenance_t copy;

    weave_maintenance_row_get(&copy, board, row);
    assert_int_equal(copy.mode, board->rows[row].mode);
    return copy.mode;
}

static void publishes_by_place(void **state)
{
    apr_array_header_t *entries =
        apr_array_make(pool, 4, sizeof(weave_maintenance_entry_t));
    int last = WEAVE_ROSTER_APPS - 1;

    (void)state;
    strcpy(board->ini[0], "/a.ini");
    strcpy(board->ini[last], "/z.ini");
    add(entries, "/z.ini", WEAVE_MAINTENANCE_ON);
    add(entries, "/nobody.ini", WEAVE_MAINTENANCE_ON);
    add(entries, "", WEAVE_MAINTENANCE_ON);
    add(entries, NULL, WEAVE_MAINTENANCE_BACKOFF);
    weave_maintenance_publish(board, entries);
    assert_int_equal(board->epoch, 2);
    assert_int_equal(mode_of(WEAVE_MAINTENANCE_ALL), WEAVE_MAINTENANCE_BACKOFF);
    assert_int_equal(mode_of(1), WEAVE_MAINTENANCE_OFF);
    assert_int_equal(mode_of(2), WEAVE_MAINTENANCE_OFF);
    assert_int_equal(mode_of(1 + (uint32_t)last), WEAVE_MAINTENANCE_ON);
    /* what is said no more is off */
    apr_array_clear(entries);
    add(entries, "/a.ini", WEAVE_MAINTENANCE_DRAINING);
    weave_maintenance_publish(board, entries);
    assert_int_equal(board->epoch, 3);
    assert_int_equal(mode_of(WEAVE_MAINTENANCE_ALL), WEAVE_MAINTENANCE_OFF);
    assert_int_equal(mode_of(1), WEAVE_MAINTENANCE_DRAINING);
    assert_int_equal(mode_of(1 + (uint32_t)last), WEAVE_MAINTENANCE_OFF);
}

static void name(int place, const char *ini, const char *names)
{
    strcpy(board->ini[place], ini);
    strcpy(board->names[place], names);
}

static uint32_t mode_for(const apr_array_header_t *entries, int place)
{
    weave_maintenance_t word;

    weave_maintenance_word_of(&word, entries, board, 1 + (uint32_t)place, 100);
    return word.mode;
}

static void say(apr_array_header_t *entries, const char *ini, const char *real,
                uint32_t mode, int64_t until_us)
{
    weave_maintenance_t word = {.mode = mode, .until_us = until_us};

    weave_maintenance_set_real(entries, ini, real, &word);
}

static void knows_names(void **state)
{
    (void)state;
    assert_true(weave_names_have("/a\n/b\n", "/a"));
    assert_true(weave_names_have("/a\n/b\n", "/b"));
    assert_false(weave_names_have("/a\n/b\n", "/"));
    assert_false(weave_names_have("/a\n/b\n", "/a\n/b"));
    assert_false(weave_names_have("/a\n/b\n", ""));
    assert_false(weave_names_have("/cut/off", "/cut/off"));
    assert_false(weave_names_have("", ""));
    assert_true(weave_names_share("/a\n/b\n", "/c\n/b\n"));
    assert_false(weave_names_share("/a\n/b\n", "/c\n/bb\n"));
    assert_false(weave_names_share("", ""));
}

/* The usual release: WeaveApp names a link, and it moves. */
static void follows_a_link_that_moves(void **state)
{
    apr_array_header_t *entries =
        apr_array_make(pool, 4, sizeof(weave_maintenance_entry_t));

    (void)state;
    name(0, "/r1/a.ini", "/current/a.ini\n");
    say(entries, "/current/a.ini", "/r1/a.ini", WEAVE_MAINTENANCE_ON, 0);
    assert_int_equal(mode_for(entries, 0), WEAVE_MAINTENANCE_ON);
    /* it has moved; children of before go by the old place */
    name(1, "/r2/a.ini", "/current/a.ini\n");
    assert_int_equal(mode_for(entries, 0), WEAVE_MAINTENANCE_ON);
    assert_int_equal(mode_for(entries, 1), WEAVE_MAINTENANCE_ON);
}

/* Where a name led to counts only while it is nobody's name. */
static void keeps_to_its_name(void **state)
{
    apr_array_header_t *entries =
        apr_array_make(pool, 4, sizeof(weave_maintenance_entry_t));

    (void)state;
    name(0, "/r1/a.ini", "/current/a.ini\n");
    name(1, "/r2/a.ini", "/r2/a.ini\n");
    say(entries, "/current/a.ini", "/r2/a.ini", WEAVE_MAINTENANCE_ON, 0);
    assert_int_equal(mode_for(entries, 0), WEAVE_MAINTENANCE_ON);
    assert_int_equal(mode_for(entries, 1), WEAVE_MAINTENANCE_OFF);
    assert_false(weave_maintenance_adopt(entries, board));
    apr_array_clear(entries);
    say(entries, "/another/a.ini", "/r1/a.ini", WEAVE_MAINTENANCE_ON, 0);
    assert_int_equal(mode_for(entries, 0), WEAVE_MAINTENANCE_ON);
    assert_int_equal(mode_for(entries, 1), WEAVE_MAINTENANCE_OFF);
    /* from now on it follows the link */
    assert_true(weave_maintenance_adopt(entries, board));
    assert_non_null(weave_maintenance_find(entries, "/current/a.ini"));
    assert_non_null(weave_maintenance_find(entries, "/another/a.ini"));
    assert_false(weave_maintenance_adopt(entries, board));
    apr_array_clear(entries);
    say(entries, "/r1/a.ini", NULL, WEAVE_MAINTENANCE_ON, 0);
    assert_true(weave_maintenance_adopt(entries, board));
    assert_non_null(weave_maintenance_find(entries, "/current/a.ini"));
    assert_int_equal(entries->nelts, 1);
}

/* Two names have come to lead to one application. */
static void merges_to_the_safe_side(void **state)
{
    apr_array_header_t *entries =
        apr_array_make(pool, 4, sizeof(weave_maintenance_entry_t));
    weave_maintenance_t word;

    (void)state;
    name(0, "/r2/a.ini", "/current/a.ini\n/r2/a.ini\n");
    say(entries, "/r2/a.ini", NULL, WEAVE_MAINTENANCE_ON, 200);
    say(entries, "/current/a.ini", NULL, WEAVE_MAINTENANCE_DRAINING, 0);
    assert_true(weave_maintenance_word_of(&word, entries, board, 1, 100));
    assert_int_equal(word.mode, WEAVE_MAINTENANCE_ON);
    assert_int_equal(word.until_us, 0);
    say(entries, "/current/a.ini", NULL, WEAVE_MAINTENANCE_ON, 900);
    weave_maintenance_word_of(&word, entries, board, 1, 100);
    assert_int_equal(word.until_us, 900);
    /* what is less strict puts off no end; what is over counts no more */
    say(entries, "/current/a.ini", NULL, WEAVE_MAINTENANCE_BACKOFF, 900);
    weave_maintenance_word_of(&word, entries, board, 1, 100);
    assert_int_equal(word.mode, WEAVE_MAINTENANCE_ON);
    assert_int_equal(word.until_us, 200);
    weave_maintenance_word_of(&word, entries, board, 1, 200);
    assert_int_equal(word.mode, WEAVE_MAINTENANCE_BACKOFF);
    assert_false(weave_maintenance_word_of(&word, entries, board, 1, 900));
    assert_int_equal(word.mode, WEAVE_MAINTENANCE_OFF);
}

/* A drain that is over is on: the drain of another name does not begin it anew,
 * whichever of both was said first, and whoever has more to tell clients. */
static void merges_drains(void **state)
{
    apr_array_header_t *entries =
        apr_array_make(pool, 4, sizeof(weave_maintenance_entry_t));
    weave_maintenance_t word;
    weave_maintenance_t first = {.mode = WEAVE_MAINTENANCE_DRAINING,
                                 .since_us = 10,
                                 .message = "the disk"};
    weave_maintenance_t next = {.mode = WEAVE_MAINTENANCE_DRAINING,
                                .since_us = 90,
                                .retry_after_s = 600};

    (void)state;
    name(0, "/r2/a.ini", "/current/a.ini\n/other/a.ini\n");
    weave_maintenance_set(entries, "/current/a.ini", &first);
    weave_maintenance_set(entries, "/other/a.ini", &next);
    weave_maintenance_word_of(&word, entries, board, 1, 100);
    assert_int_equal(weave_maintenance_mode_at(&word, 100, 50),
                     WEAVE_MAINTENANCE_ON);
    assert_int_equal(word.retry_after_s, 600);
    assert_string_equal(word.message, "the disk");
    weave_maintenance_set(entries, "/current/a.ini", &next);
    strcpy(first.message, "");
    weave_maintenance_set(entries, "/other/a.ini", &first);
    weave_maintenance_word_of(&word, entries, board, 1, 100);
    assert_int_equal(word.since_us, 10);
    assert_int_equal(word.retry_after_s, 600);
    /* a message of its own stays, and one that is about less is no help */
    strcpy(next.message, "the network");
    weave_maintenance_set(entries, "/current/a.ini", &next);
    strcpy(first.message, "the disk");
    weave_maintenance_set(entries, "/other/a.ini", &first);
    weave_maintenance_word_of(&word, entries, board, 1, 100);
    assert_string_equal(word.message, "the network");
    strcpy(next.message, "");
    weave_maintenance_set(entries, "/current/a.ini", &next);
    first.mode = WEAVE_MAINTENANCE_BACKOFF;
    weave_maintenance_set(entries, "/other/a.ini", &first);
    weave_maintenance_word_of(&word, entries, board, 1, 100);
    assert_int_equal(word.since_us, 90);
    assert_string_equal(word.message, "");
}

/* 0 is "it may run whatever is said". */
static void epoch_is_never_0(void **state)
{
    (void)state;
    board->epoch = UINT32_MAX - 1;
    weave_maintenance_turn(board);
    assert_int_equal(board->epoch, UINT32_MAX);
    weave_maintenance_turn(board);
    assert_int_equal(board->epoch, 1);
    weave_maintenance_turn(board);
    assert_int_equal(board->epoch, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        BOARD(starts_off),
        BOARD(keeps_rows_apart),
        BOARD(readers_see_whole_words),
        BOARD(outlives_a_writer),
        BOARD(waits_for_a_writer),
        BOARD(is_never_off_by_accident),
        BOARD(ends_texts),
        BOARD(publishes_by_place),
        BOARD(knows_names),
        BOARD(follows_a_link_that_moves),
        BOARD(keeps_to_its_name),
        BOARD(merges_to_the_safe_side),
        BOARD(merges_drains),
        BOARD(epoch_is_never_0),
    };

    return run_each(tests);
}
