/* SPDX-License-Identifier: Apache-2.0 */
/* test_line.c: lines of the error log: format, escapes, length */

#include "conf_support.h"

#include <fcntl.h>
#include <regex.h>
#include <stdio.h>
#include <unistd.h>

#include "weave_line.h"

#define PREFIX_RE                                                              \
    "^\\[(Sun|Mon|Tue|Wed|Thu|Fri|Sat) [A-Z][a-z]{2} [0-3][0-9] "              \
    "[0-2][0-9]:[0-5][0-9]:[0-6][0-9]\\.[0-9]{6} 2[0-9]{3}\\] "

static char line[WEAVE_LINE_BYTES];

static const char *formatted(int level, const char *text, size_t len)
{
    size_t bytes = weave_line_format(line, level, NULL, text, len);

    assert_in_range(bytes, 2, WEAVE_LINE_BYTES);
    assert_int_equal(line[bytes - 1], '\n');
    line[bytes - 1] = '\0';
    assert_null(memchr(line, '\n', bytes - 1));
    return line;
}

/* What stands behind the prefix. */
static const char *text_of(const char *text, size_t len)
{
    const char *tid = strstr(formatted(3, text, len), ":tid ");

    assert_non_null(tid);
    return strchr(tid, ']') + 2;
}

#define assert_text(from, to)                                                  \
    assert_string_equal(text_of(from, sizeof(from) - 1), to)

static void assert_matches(const char *text, const char *pattern)
{
    regex_t re;

    assert_int_equal(regcomp(&re, pattern, REG_EXTENDED | REG_NOSUB), 0);
    if (regexec(&re, text, 0, NULL, 0) != 0)
        fail_msg("no match for %s: %s", pattern, text);
    regfree(&re);
}

/* A line that a process has formatted is known as its own, and no other's. */
static void knows_own_lines(void **state)
{
    static const char *const others[] = {
        "",
        "text",
        "[Sun Nov 29 23:27:06.123456 2026] [weave:error] [pid 7:tid 1]",
        "[Sun Nov 29 23:27:06.123456 2026] [weave:error] [pid 70:tid 1] x",
        "[Sun Nov 29 23:27:06.123456 2026] [weave:error] [pid 77:tid 1] x",
        "[Sun Nov 29 23:27:06.123456 2026] [weave:error] [pid +7:tid 1] x",
        "[Sun Nov 29 23:27:06.123456 2026] [weave:error] [pid 7:tid ] x",
        "[Sun Nov 29 23:27:06.123456 2026] [weave:error] [pid 7:tid x] x",
        "[Sun Nov 29 23:27:06.123456 2026] [core:error] [pid 7:tid 1] x",
        "[Sun Nov 29 23:27:06.123456 2026] [weave:worse] [pid 7:tid 1] x",
        "[Sun Nov 29 23:27:06 2026] [weave:error] [pid 7:tid 1] x",
        " [Sun Nov 29 23:27:06.123456 2026] [weave:error] [pid 7:tid 1] x",
        "[S\033n Nov 29 23:27:06.123456 2026] [weave:error] [pid 7:tid 1] x",
    };
    const char *own = formatted(3, "text", 4);
    size_t i, prefix = weave_line_prefix_bytes(own, strlen(own), getpid());

    (void)state;
    assert_string_equal(own + prefix, "text");
    assert_int_equal(weave_line_prefix_bytes(own, strlen(own), getpid() + 1),
                     0);
    for (i = 0; i < prefix; i++)
        assert_int_equal(weave_line_prefix_bytes(own, i, getpid()), 0);
    assert_int_equal(
        weave_line_prefix_bytes(
            "[Sun Nov 29 23:27:06.123456 2026] [weave:error] [pid 7:tid 1] x",
            63, 7),
        62);
    for (i = 0; i < sizeof(others) / sizeof(*others); i++)
        assert_int_equal(
            weave_line_prefix_bytes(others[i], strlen(others[i]), 7), 0);
}

/* In pieces that fit, each of whole characters. */
static void appends_in_pieces(void **state)
{
    char text[3000], all[12000] = "";
    const char *at = text, *end = text + sizeof(text);
    size_t i;

    (void)state;
    for (i = 0; i < sizeof(text); i++)
        text[i] = "\xc3\xbc\\"[i % 3];
    while (at < end) {
        size_t bytes = weave_line_append(line, 0, 100, &at, end, 0);

        assert_in_range(bytes, 1, 99);
        strncat(all, line, bytes);
    }
    assert_int_equal(strlen(all), sizeof(text));
    assert_memory_equal(all, text, sizeof(text));
    at = "\\\033";
    line[weave_line_append(line, 0, 100, &at, at + 2, 0)] = '\0';
    assert_string_equal(line, "\\\\x1b");
}

static void looks_like_httpd(void **state)
{
    (void)state;
    assert_matches(formatted(3, "text", 4),
                   apr_psprintf(pool,
                                PREFIX_RE "\\[weave:error\\] \\[pid %d:tid "
                                          "%d\\] text$",
                                (int)getpid(), (int)gettid()));
}

static void names_levels(void **state)
{
    static const char *const names[] = {"emerg", "alert",  "crit", "error",
                                        "warn",  "notice", "info", "debug"};
    int level;

    (void)state;
    for (level = 0; level < 8; level++)
        assert_matches(formatted(level, "x", 1),
                       apr_psprintf(pool, "\\[weave:%s\\]", names[level]));
    assert_matches(formatted(8, "x", 1), "\\[weave:trace1\\]");
    assert_matches(formatted(15, "x", 1), "\\[weave:trace8\\]");
    assert_matches(formatted(1000, "x", 1), "\\[weave:trace8\\]");
    assert_matches(formatted(-1, "x", 1), "\\[weave:emerg\\]");
}

static void names_clients(void **state)
{
    char client[300];
    size_t bytes;

    (void)state;
    bytes = weave_line_format(line, 4, "127.0.0.1:8080", "x", 1);
    line[bytes] = '\0';
    assert_matches(line, "tid [0-9]+\\] \\[client 127\\.0\\.0\\.1:8080\\] x");
    memset(client, 'c', sizeof(client) - 1);
    client[sizeof(client) - 1] = '\0';
    assert_in_range(weave_line_format(line, 4, client, "x", 1), 80, 250);
}

static void escapes(void **state)
{
    (void)state;
    assert_text("", "");
    assert_text("a\nb\r\tc\x1b[31m\x7f", "a\\x0ab\\x0d\\x09c\\x1b[31m\\x7f");
    assert_text("a\0b", "a\\x00b");
    assert_text("back\\slash \"quote\"", "back\\\\slash \"quote\"");
    assert_text("gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\xa6\x8a",
                "gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\xa6\x8a");
    /* C1 controls, latin-1, overlong, a surrogate, cut off */
    assert_text("\xc2\x9b", "\\xc2\\x9b");
    assert_text("\xfc", "\\xfc");
    assert_text("\xc0\xaf", "\\xc0\\xaf");
    assert_text("\xed\xa0\x80", "\\xed\\xa0\\x80");
    assert_text("\xe2\x82", "\\xe2\\x82");
}

static void cuts(void **state)
{
    static const char *const parts[] = {"x", "\x01", "\\", "\xc3\xbc",
                                        "\xf0\x9f\xa6\x8a"};
    size_t i, at;

    (void)state;
    for (i = 0; i < 5; i++) {
        size_t len = strlen(parts[i]), bytes;
        char *text = apr_palloc(pool, 4 * WEAVE_LINE_BYTES * len);

        for (at = 0; at < 4 * (size_t)WEAVE_LINE_BYTES; at++)
            memcpy(text + at * len, parts[i], len);
        bytes = weave_line_format(line, 3, NULL, text, at * len);
        assert_in_range(bytes, WEAVE_LINE_BYTES - 16, WEAVE_LINE_BYTES);
        assert_int_equal(line[bytes - 1], '\n');
        /* no character is cut in two */
        assert_memory_equal(line + bytes - 1 - len,
                            i == 1   ? "1"
                            : i == 2 ? "\\"
                                     : parts[i],
                            len);
    }
}

static void writes_to_descriptors(void **state)
{
    int ends[2], saved = dup(2);
    char got[WEAVE_LINE_BYTES];
    ssize_t bytes;

    (void)state;
    assert_int_equal(pipe(ends), 0);
    weave_line_write(ends[1], 4, NULL, "one", 3);
    bytes = read(ends[0], got, sizeof(got) - 1);
    assert_true(bytes > 0);
    got[bytes] = '\0';
    assert_matches(got, "\\[weave:warn\\].* one\n$");

    dup2(ends[1], 2);
    weave_line_say(5, "WEAVE%04d: %s", 7, "two\nlines");
    dup2(saved, 2);
    close(saved);
    bytes = read(ends[0], got, sizeof(got) - 1);
    assert_true(bytes > 0);
    got[bytes] = '\0';
    assert_matches(got, "\\[weave:notice\\].* WEAVE0007: two.x0alines\n$");
    close(ends[0]);
    close(ends[1]);
}

/* A log that is full or gone is no reason to stop, nor to loop for ever. */
static void gives_up(void **state)
{
    int full = open("/dev/full", O_WRONLY);

    (void)state;
    weave_line_write(full, 3, NULL, "x", 1);
    close(full);
    weave_line_write(full, 3, NULL, "x", 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        each(looks_like_httpd),
        each(knows_own_lines),
        each(appends_in_pieces),
        each(names_levels),
        each(names_clients),
        each(escapes),
        each(cuts),
        each(gives_up),
        each(writes_to_descriptors),
    };

    return run_each(tests);
}
