/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes, in any pieces, as frames of a connection; what is in them is
 * walked as its receivers do. Payloads lie in memory of their own size, so
 * that ASan sees who reads on. With -DFUZZ_REPLAY: see replay.h.
 */

#include <apr_general.h>

#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "weave_frame.h"

static size_t seen; /* what is read must not be optimised away */

static void check_inside(const weave_frame_cursor_t *cursor,
                         const char *payload, size_t bytes)
{
    assert(cursor->at >= payload && cursor->at <= cursor->end);
    assert(cursor->end == payload + bytes);
}

static void walk_request(const char *payload, size_t bytes)
{
    weave_frame_request_t head;
    weave_frame_cursor_t cursor;
    const void *fixed = weave_frame_open(&cursor, payload, bytes, sizeof(head));
    uint32_t i;

    assert(fixed);
    memcpy(&head, fixed, sizeof(head));
    for (i = 0; i < head.vars; i++) {
        weave_frame_var_t var;
        const char *name, *value;

        if (weave_frame_var_next(&cursor, &var, &name, &value) !=
            WEAVE_FRAME_OK)
            return;
        check_inside(&cursor, payload, bytes);
        assert(!name == !var.name_bytes);
        assert(!name || strlen(name) + 1 == var.name_bytes);
        assert(strlen(value) == var.value_bytes);
        seen += var.value_bytes;
    }
}

static void walk_head(const char *payload, size_t bytes)
{
    weave_frame_cursor_t cursor;
    const char *text;

    assert(
        weave_frame_open(&cursor, payload, bytes, sizeof(weave_frame_head_t)));
    while ((text = weave_frame_string_next(&cursor))) {
        check_inside(&cursor, payload, bytes);
        seen += strlen(text);
        assert(text + strlen(text) + 1 == cursor.at);
    }
}

static void walk(const weave_frame_t *frame, const char *data)
{
    char *payload = malloc(frame->bytes ? frame->bytes : 1);
    weave_frame_cursor_t cursor;

    memcpy(payload, data, frame->bytes);
    if (frame->type == WEAVE_FRAME_REQUEST)
        walk_request(payload, frame->bytes);
    else if (frame->type == WEAVE_FRAME_HEAD)
        walk_head(payload, frame->bytes);
    assert(!weave_frame_open(&cursor, payload, frame->bytes,
                             (size_t)frame->bytes + 1));
    free(payload);
}

/* Takes the frames that the LEN bytes at DATA hold; -1: no frame. */
static long take(const char *data, size_t len)
{
    size_t at = 0;

    for (;;) {
        weave_frame_t frame = {0};
        weave_frame_status_e rv =
            weave_frame_decode(&frame, data + at, len - at);

        if (rv == WEAVE_FRAME_MORE) {
            assert(len - at < sizeof(frame));
            return (long)at;
        }
        if (rv != WEAVE_FRAME_OK)
            return -1;
        assert(frame.type > 0 && frame.type < WEAVE_FRAME_TYPES);
        assert(frame.bytes <= WEAVE_FRAME_MAX);
        if (len - at - sizeof(frame) < frame.bytes)
            return (long)at;
        walk(&frame, data + at + sizeof(frame));
        at += sizeof(frame) + frame.bytes;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t data_bytes);

int LLVMFuzzerInitialize(int *argc, char ***argv);

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    apr_initialize();
    return 0;
}

/* The first two bytes say how the rest is cut. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t data_bytes)
{
    size_t from = 0, arrived = 0, step;
    uint32_t random;
    char *bytes;

    if (data_bytes < 2)
        return 0;
    random = (uint32_t)(data[0] | data[1] << 8);
    data += 2;
    data_bytes -= 2;
    while (arrived < data_bytes) {
        long taken;

        random = random * 1103515245 + 12345;
        step = (random >> 16) % 97 + 1;
        arrived += step < data_bytes - arrived ? step : data_bytes - arrived;
        bytes = malloc(arrived - from + 1);
        memcpy(bytes, data + from, arrived - from);
        taken = take(bytes, arrived - from);
        free(bytes);
        if (taken < 0)
            break;
        from += (size_t)taken;
    }
    return 0;
}

#ifdef FUZZ_REPLAY
#include "replay.h"
#endif
