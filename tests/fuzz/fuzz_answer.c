/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes, in any pieces and with any descriptors, as the answer of a worker:
 * through the codec and the state machine that httpd's children have before
 * everything else, used as backend_receive.c does. What they let through is
 * counted here once more, by other means. With -DFUZZ_REPLAY: see replay.h.
 */

#include <apr_general.h>

#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "weave_answer.h"

/* Counts what a child of httpd has taken of one answer. */
typedef struct {
    weave_answer_t answer;
    int streamed, head_only, reads_ended;
    int heads, files, fds, ends, reads, lines;
    size_t line_bytes, strings, headers;
    int64_t length, body; /* announced (-1: not), and taken */
} taken_t;

#define MAKE(type, payload)                                                    \
    type fixed;                                                                \
    memcpy(&fixed, payload, sizeof(fixed))

static int head_take(taken_t *taken, const weave_frame_t *frame,
                     const char *payload)
{
    MAKE(weave_frame_head_t, payload);

    if (weave_answer_head(&taken->answer, frame, &fixed))
        return -1;
    taken->heads++;
    taken->strings = fixed.strings;
    taken->headers = fixed.headers;
    assert(fixed.status >= 200 && fixed.status <= 999);
    assert(sizeof(fixed) + fixed.strings <= frame->bytes);
    if (!taken->head_only && fixed.status != 204 && fixed.status != 304)
        taken->length = fixed.content_length;
    taken->body += (int64_t)(frame->bytes - sizeof(fixed) - fixed.strings);
    taken->ends += frame->flags & WEAVE_FRAME_LAST;
    return 0;
}

static int file_take(taken_t *taken, const weave_frame_t *frame,
                     const char *payload)
{
    MAKE(weave_frame_file_t, payload);

    if (weave_answer_file(&taken->answer, frame, &fixed))
        return -1;
    taken->files++;
    assert(fixed.length >= 0 && fixed.offset >= 0);
    assert(taken->length < 0 || fixed.length <= taken->length);
    /* what is not announced is the application's to give */
    taken->body += taken->length < 0 ? 0 : fixed.length;
    taken->ends += frame->flags & WEAVE_FRAME_LAST;
    return 0;
}

static int end_take(taken_t *taken, const char *payload)
{
    MAKE(weave_frame_end_t, payload);

    taken->ends++;
    if (fixed.outcome != 0)
        return 0;
    if (weave_answer_end(&taken->answer))
        return -1;
    assert(taken->heads == 1);
    assert(taken->length < 0 || taken->body == taken->length);
    return 0;
}

/* 0, or -1: the connection is closed. */
static int frame_take(taken_t *taken, const weave_frame_t *frame,
                      const char *payload, int has_fd)
{
    int was_over = taken->ends;

    if (weave_answer_take(&taken->answer, frame, has_fd))
        return -1;
    assert(!was_over);
    assert(!has_fd || frame->type == WEAVE_FRAME_FILE);
    taken->fds += has_fd;
    switch (frame->type) {
    case WEAVE_FRAME_HEAD:
        return head_take(taken, frame, payload);
    case WEAVE_FRAME_DATA:
        assert(taken->heads == 1 && !taken->files);
        assert(frame->bytes || (frame->flags & WEAVE_FRAME_LAST));
        taken->body += frame->bytes;
        taken->ends += frame->flags & WEAVE_FRAME_LAST;
        return 0;
    case WEAVE_FRAME_FILE:
        return file_take(taken, frame, payload);
    case WEAVE_FRAME_READ:
        taken->reads++;
        assert(taken->streamed && !taken->reads_ended);
        if (taken->reads % 7 == 6) {
            taken->answer.may_read = 0;
            taken->reads_ended = 1;
        }
        return 0;
    case WEAVE_FRAME_LOG:
        taken->lines++;
        taken->line_bytes += frame->bytes - sizeof(weave_frame_log_t);
        assert(frame->bytes <=
               sizeof(weave_frame_log_t) + WEAVE_FRAME_LINE_MAX);
        return 0;
    case WEAVE_FRAME_END:
        return end_take(taken, payload);
    default:
        assert(frame->type == WEAVE_FRAME_CANCELLED ||
               frame->type == WEAVE_FRAME_REFUSED);
        assert(!taken->heads && !taken->reads && !frame->bytes);
        taken->ends++;
        return 0;
    }
}

static void bounds_check(const taken_t *taken)
{
    assert(taken->heads <= 1 && taken->files <= 1 && taken->ends <= 1);
    assert(taken->fds <= 1);
    assert(taken->lines <= (int)WEAVE_ANSWER_LINES_MAX);
    assert(taken->line_bytes <= WEAVE_ANSWER_LINES_BYTES);
    assert(taken->strings <= WEAVE_ANSWER_TEXT_MAX);
    assert(taken->headers <= WEAVE_ANSWER_HEADERS_MAX);
    assert(taken->headers <= taken->strings);
    assert(taken->length < 0 || taken->body <= taken->length);
}

/* Takes the frames of the LEN bytes at DATA. FDS says, bit by bit, which of
 * them has a descriptor. All small numbers are the request's: the fuzzer would
 * find the right one too seldom. */
static void answer_take(taken_t *taken, const char *data, size_t len,
                        uint64_t fds)
{
    size_t at = 0;

    while (len - at >= sizeof(weave_frame_t)) {
        weave_frame_t frame, wire;

        memcpy(&wire, data + at, sizeof(wire));
        /* inputs outlive versions */
        wire.magic = WEAVE_FRAME_MAGIC;
        wire.version = WEAVE_FRAME_VERSION;
        if (weave_frame_decode(&frame, (const char *)&wire, sizeof(wire)) !=
            WEAVE_FRAME_OK)
            return;
        at += sizeof(frame);
        if (len - at < frame.bytes)
            return;
        if (frame.number < 256)
            frame.number = taken->answer.number;
        if (frame_take(taken, &frame, data + at, (int)(fds & 1)) < 0)
            return;
        bounds_check(taken);
        fds = fds >> 1 | fds << 63;
        at += frame.bytes;
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

/* The first byte says what was asked, the eight behind it which frames have a
 * descriptor. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t data_bytes)
{
    taken_t taken = {.length = -1};
    uint64_t fds;

    if (data_bytes < 1 + sizeof(fds))
        return 0;
    taken.streamed = data[0] & 1;
    taken.head_only = data[0] >> 1 & 1;
    memcpy(&fds, data + 1, sizeof(fds));
    weave_answer_begin(&taken.answer, 7, taken.streamed, taken.head_only);
    answer_take(&taken, (const char *)data + 1 + sizeof(fds),
                data_bytes - 1 - sizeof(fds), fds);
    return 0;
}

#ifdef FUZZ_REPLAY
#include "replay.h"
#endif
