/* SPDX-License-Identifier: Apache-2.0 */
/* test_frame.c: the wire: what is a frame, and what is not */

#include "conf_support.h"

#include <limits.h>
#include <stdio.h>

#include "weave_frame.h"

/* The least and the greatest payload, as the header says it. */
static const struct {
    weave_frame_type_e type;
    size_t least, most;
} types[] = {
    {WEAVE_FRAME_HELLO, 40, 40},
    {WEAVE_FRAME_WELCOME, 16, 16},
    {WEAVE_FRAME_REQUEST, 24, WEAVE_FRAME_MAX},
    {WEAVE_FRAME_BODY, 8, 8 + WEAVE_FRAME_DATA_MAX},
    {WEAVE_FRAME_CANCEL, 0, 0},
    {WEAVE_FRAME_CANCELLED, 0, 0},
    {WEAVE_FRAME_REFUSED, 0, 0},
    {WEAVE_FRAME_READ, 8, 8},
    {WEAVE_FRAME_HEAD, 24, WEAVE_FRAME_MAX},
    {WEAVE_FRAME_DATA, 0, WEAVE_FRAME_DATA_MAX},
    {WEAVE_FRAME_FILE, 16, 16},
    {WEAVE_FRAME_END, 8, 8},
    {WEAVE_FRAME_LOG, 8, 8 + WEAVE_FRAME_LINE_MAX},
};
#define TYPES (sizeof(types) / sizeof(*types))

static weave_frame_status_e decoded(weave_frame_t *got, weave_frame_t frame)
{
    return weave_frame_decode(got, (const char *)&frame, sizeof(frame));
}

static weave_frame_status_e of_size(weave_frame_type_e type, size_t bytes)
{
    weave_frame_t got;

    return decoded(&got, weave_frame_make(type, 0, bytes, 1));
}

static void knows_every_type(void **state)
{
    size_t i;

    (void)state;
    assert_int_equal(TYPES, WEAVE_FRAME_TYPES - 1);
    for (i = 0; i < TYPES; i++) {
        weave_frame_type_e type = types[i].type;
        weave_frame_t got = {0};

        assert_int_equal(
            decoded(&got, weave_frame_make(type, 0x1f, types[i].most, 77)),
            WEAVE_FRAME_OK);
        assert_int_equal(got.magic, WEAVE_FRAME_MAGIC);
        assert_int_equal(got.version, WEAVE_FRAME_VERSION);
        assert_int_equal(got.type, type);
        assert_int_equal(got.flags, 0x1f);
        assert_int_equal(got.bytes, types[i].most);
        assert_int_equal(got.number, 77);
    }
}

static void bounds_lengths(void **state)
{
    size_t i;

    (void)state;
    for (i = 0; i < TYPES; i++) {
        weave_frame_type_e type = types[i].type;

        assert_int_equal(of_size(type, types[i].least), WEAVE_FRAME_OK);
        assert_int_equal(of_size(type, types[i].most), WEAVE_FRAME_OK);
        assert_int_equal(of_size(type, types[i].most + 1), WEAVE_FRAME_BAD);
        assert_int_equal(of_size(type, UINT32_MAX), WEAVE_FRAME_BAD);
        if (types[i].least)
            assert_int_equal(of_size(type, types[i].least - 1),
                             WEAVE_FRAME_BAD);
    }
}

static void refuses_other_types(void **state)
{
    (void)state;
    assert_int_equal(of_size(0, 0), WEAVE_FRAME_BAD);
    assert_int_equal(of_size(WEAVE_FRAME_TYPES, 0), WEAVE_FRAME_BAD);
    assert_int_equal(of_size(255, 0), WEAVE_FRAME_BAD);
}

static void tells_other_versions(void **state)
{
    weave_frame_t got, frame = weave_frame_make(WEAVE_FRAME_END, 0, 8, 1);

    (void)state;
    frame.version = WEAVE_FRAME_VERSION + 1;
    assert_int_equal(decoded(&got, frame), WEAVE_FRAME_OTHER_VERSION);
    /* whatever else is in it: nothing of it is known */
    frame.type = 200;
    frame.bytes = UINT32_MAX;
    assert_int_equal(decoded(&got, frame), WEAVE_FRAME_OTHER_VERSION);
    frame.version = 0;
    assert_int_equal(decoded(&got, frame), WEAVE_FRAME_OTHER_VERSION);
    frame.magic++;
    assert_int_equal(decoded(&got, frame), WEAVE_FRAME_BAD);
}

static void waits_for_the_rest(void **state)
{
    weave_frame_t got = {.number = 5};
    weave_frame_t frame = weave_frame_make(WEAVE_FRAME_DATA, 0, 9, 1);
    size_t len;

    (void)state;
    for (len = 0; len < sizeof(frame); len++) {
        assert_int_equal(weave_frame_decode(&got, (char *)&frame, len),
                         WEAVE_FRAME_MORE);
        assert_int_equal(got.number, 5);
    }
    /* its payload need not be there */
    assert_int_equal(weave_frame_decode(&got, (char *)&frame, len),
                     WEAVE_FRAME_OK);
}

static void knows_rubbish_at_once(void **state)
{
    const weave_frame_t frame = weave_frame_make(WEAVE_FRAME_DATA, 0, 9, 1);
    weave_frame_t got;
    size_t at;

    (void)state;
    for (at = 0; at < 4; at++) {
        char bytes[sizeof(frame)];

        memcpy(bytes, &frame, sizeof(frame));
        bytes[at] ^= 1;
        assert_int_equal(weave_frame_decode(&got, bytes, at), WEAVE_FRAME_MORE);
        assert_int_equal(weave_frame_decode(&got, bytes, at + 1),
                         WEAVE_FRAME_BAD);
        assert_int_equal(weave_frame_decode(&got, bytes, sizeof(bytes)),
                         WEAVE_FRAME_BAD);
    }
    assert_int_equal(weave_frame_decode(&got, "HTTP/1.1 400 ", 13),
                     WEAVE_FRAME_BAD);
}

static void opens_payloads(void **state)
{
    const char payload[10] = "0123456789";
    weave_frame_cursor_t cursor = {0};

    (void)state;
    assert_null(weave_frame_open(&cursor, payload, 7, 8));
    assert_null(cursor.at);
    assert_ptr_equal(weave_frame_open(&cursor, payload, 8, 8), payload);
    assert_ptr_equal(cursor.at, payload + 8);
    assert_ptr_equal(cursor.end, payload + 8);
    assert_ptr_equal(weave_frame_open(&cursor, payload, 10, 8), payload);
    assert_ptr_equal(cursor.end, payload + 10);
}

/* ---- the environ ---- */

/* Malloc'ed to the byte, so that ASan sees who reads on. */
static char *entry(size_t *bytes, uint32_t key, const char *name,
                   const char *value)
{
    size_t name_len = name ? strlen(name) : 0, value_len = strlen(value);
    char *data = malloc(weave_frame_var_size(name_len, value_len));
    char *end =
        weave_frame_var_write(data, key, name, name_len, value, value_len);

    *bytes = (size_t)(end - data);
    assert_int_equal(*bytes, weave_frame_var_size(name_len, value_len));
    return data;
}

static void carries_entries(void **state)
{
    const char *const pairs[][2] = {{NULL, "GET"},
                                    {"HTTP_X_A", "b"},
                                    {NULL, ""},
                                    {"N", ""},
                                    {"\xff", "\xfe"}};
    char data[256], *to = data;
    weave_frame_cursor_t cursor;
    weave_frame_var_t var;
    const char *name, *value;
    uint32_t i;

    (void)state;
    for (i = 0; i < 5; i++)
        to = weave_frame_var_write(to, i, pairs[i][0],
                                   pairs[i][0] ? strlen(pairs[i][0]) : 0,
                                   pairs[i][1], strlen(pairs[i][1]));
    cursor = (weave_frame_cursor_t){data, to};
    for (i = 0; i < 5; i++) {
        assert_int_equal(weave_frame_var_next(&cursor, &var, &name, &value),
                         WEAVE_FRAME_OK);
        assert_int_equal(var.key, i);
        assert_string_equal(value, pairs[i][1]);
        assert_int_equal(var.value_bytes, strlen(pairs[i][1]));
        if (pairs[i][0])
            assert_string_equal(name, pairs[i][0]);
        else
            assert_null(name);
    }
    assert_ptr_equal(cursor.at, to);
    assert_int_equal(weave_frame_var_next(&cursor, &var, &name, &value),
                     WEAVE_FRAME_BAD);
}

static weave_frame_status_e next_of(const char *data, size_t bytes)
{
    weave_frame_cursor_t cursor = {data, data + bytes};
    weave_frame_var_t var;
    const char *name, *value;

    return weave_frame_var_next(&cursor, &var, &name, &value);
}

static void refuses_entries_cut_short(void **state)
{
    size_t bytes, len;
    char *data = entry(&bytes, 7, "NAME", "value");

    (void)state;
    assert_int_equal(next_of(data, bytes), WEAVE_FRAME_OK);
    for (len = 0; len < bytes; len++) {
        char *cut = malloc(len ? len : 1);

        memcpy(cut, data, len);
        assert_int_equal(next_of(cut, len), WEAVE_FRAME_BAD);
        free(cut);
    }
    free(data);
}

static void refuses_wrong_lengths(void **state)
{
    static const uint32_t wrong[] = {0x7fffffff, 0x80000000, UINT32_MAX, 1000,
                                     7};
    size_t bytes, i;
    char *data = entry(&bytes, 7, "NAME", "value");
    weave_frame_var_t var, broken;

    (void)state;
    memcpy(&var, data, sizeof(var));
    for (i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
        broken = var;
        broken.name_bytes = wrong[i];
        memcpy(data, &broken, sizeof(var));
        assert_int_equal(next_of(data, bytes), WEAVE_FRAME_BAD);
        broken = var;
        broken.value_bytes = wrong[i];
        memcpy(data, &broken, sizeof(var));
        assert_int_equal(next_of(data, bytes), WEAVE_FRAME_BAD);
    }
    free(data);
}

static void refuses_strings_that_lie(void **state)
{
    size_t bytes, at = sizeof(weave_frame_var_t);
    char *data = entry(&bytes, 7, "NAME", "value");

    (void)state;
    data[at + 4] = 'x'; /* the name's NUL */
    assert_int_equal(next_of(data, bytes), WEAVE_FRAME_BAD);
    data[at + 4] = '\0';
    data[at + 2] = '\0'; /* one inside */
    assert_int_equal(next_of(data, bytes), WEAVE_FRAME_BAD);
    data[at + 2] = 'M';
    assert_int_equal(next_of(data, bytes), WEAVE_FRAME_OK);
    data[bytes - 1] = 'x'; /* the value's */
    assert_int_equal(next_of(data, bytes), WEAVE_FRAME_BAD);
    data[bytes - 1] = '\0';
    data[bytes - 3] = '\0';
    assert_int_equal(next_of(data, bytes), WEAVE_FRAME_BAD);
    free(data);
}

static void walks_strings(void **state)
{
    const char text[] = "one\0\0three\0four"; /* four has no NUL in here */
    weave_frame_cursor_t cursor = {text, text + sizeof(text) - 1};

    (void)state;
    assert_string_equal(weave_frame_string_next(&cursor), "one");
    assert_string_equal(weave_frame_string_next(&cursor), "");
    assert_string_equal(weave_frame_string_next(&cursor), "three");
    assert_null(weave_frame_string_next(&cursor));
    assert_ptr_equal(cursor.at, text + 11);
    cursor.at = cursor.end;
    assert_null(weave_frame_string_next(&cursor));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        each(knows_every_type),
        each(bounds_lengths),
        each(refuses_other_types),
        each(tells_other_versions),
        each(waits_for_the_rest),
        each(knows_rubbish_at_once),
        each(opens_payloads),
        each(carries_entries),
        each(refuses_entries_cut_short),
        each(refuses_wrong_lengths),
        each(refuses_strings_that_lie),
        each(walks_strings),
    };

    return run_each(tests);
}
