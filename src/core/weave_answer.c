/* SPDX-License-Identifier: Apache-2.0 */
/* weave_answer.c: checks what a worker sends as the answer to one request */
#include "weave_answer.h"

#include <string.h>

void weave_answer_begin(weave_answer_t *answer, uint32_t number, int may_read,
                        int head_only)
{
    memset(answer, 0, sizeof(*answer));
    answer->number = number;
    answer->may_read = may_read;
    answer->head_only = head_only;
    answer->body_left = -1;
}

/* Counts BYTES more of the body. The client would take bytes beyond the
 * announced length for the beginning of another answer. */
static const char *body_count(weave_answer_t *answer, int64_t bytes, int flags)
{
    int last = flags & WEAVE_FRAME_LAST;

    if (last)
        answer->is_over = 1;
    if (answer->body_left < 0)
        return NULL;
    if (bytes > answer->body_left || (last && bytes < answer->body_left))
        return "a body that differs from its Content-Length";
    answer->body_left -= bytes;
    return NULL;
}

int weave_answer_line_count(weave_answer_lines_t *lines, size_t bytes)
{
    if (lines->count >= WEAVE_ANSWER_LINES_MAX ||
        bytes > WEAVE_ANSWER_LINES_BYTES - lines->bytes)
        return -1;
    lines->count++;
    lines->bytes += (uint32_t)bytes;
    return 0;
}

/* Checks the order of the frames, and notes FRAME. */
static const char *order_check(weave_answer_t *answer,
                               const weave_frame_t *frame)
{
    switch (frame->type) {
    case WEAVE_FRAME_HEAD:
        if (answer->has_head)
            return "a second head";
        answer->has_head = 1;
        return NULL;
    case WEAVE_FRAME_DATA:
        if (!answer->has_head)
            return "a body before its head";
        if (answer->has_file)
            return "a body behind a file";
        if (!frame->bytes && !(frame->flags & WEAVE_FRAME_LAST))
            return "an empty piece of a body";
        return body_count(answer, frame->bytes, frame->flags);
    case WEAVE_FRAME_FILE:
        if (!answer->has_head)
            return "a file before its head";
        if (answer->has_file)
            return "a second file";
        answer->has_file = 1;
        return NULL;
    case WEAVE_FRAME_READ:
        if (!answer->may_read)
            return "READ although the body was sent";
        answer->has_read = 1;
        return NULL;
    case WEAVE_FRAME_LOG:
        return weave_answer_line_count(
                   &answer->lines, frame->bytes - sizeof(weave_frame_log_t)) < 0
                   ? "too many lines for the log"
                   : NULL;
    case WEAVE_FRAME_CANCELLED:
    case WEAVE_FRAME_REFUSED:
        if (answer->has_head || answer->has_read)
            return "a refusal after the answer has begun";
        break;
    default:
        break;
    }
    answer->is_over = 1;
    return NULL;
}

/* Returns the flags that a frame of TYPE may have; -1: no answer has it. */
static int flags_allowed(int type)
{
    switch (type) {
    case WEAVE_FRAME_HEAD:
    case WEAVE_FRAME_DATA:
        return WEAVE_FRAME_LAST | WEAVE_FRAME_FLUSH;
    case WEAVE_FRAME_FILE:
        return WEAVE_FRAME_LAST | WEAVE_FRAME_FLUSH | WEAVE_FRAME_FD;
    case WEAVE_FRAME_CANCELLED:
    case WEAVE_FRAME_REFUSED:
    case WEAVE_FRAME_READ:
    case WEAVE_FRAME_END:
    case WEAVE_FRAME_LOG:
        return 0;
    default:
        return -1;
    }
}

const char *weave_answer_take(weave_answer_t *answer,
                              const weave_frame_t *frame, int has_fd)
{
    int is_file = frame->type == WEAVE_FRAME_FILE;
    int allowed = flags_allowed(frame->type);

    if (allowed < 0)
        return "a frame that is not part of an answer";
    if (frame->number != answer->number || answer->is_over)
        return "a frame of another request";
    if (!has_fd != !is_file || !(frame->flags & WEAVE_FRAME_FD) != !is_file)
        return is_file ? "a file without descriptor"
                       : "a descriptor that belongs to no file";
    if (frame->flags & ~allowed)
        return "flags that its type cannot have";
    return order_check(answer, frame);
}

/* RFC 9110 section 6.4.1 */
static int has_content(const weave_answer_t *answer, int status)
{
    return !answer->head_only && status != 204 && status != 304;
}

const char *weave_answer_head(weave_answer_t *answer,
                              const weave_frame_t *frame,
                              const weave_frame_head_t *head)
{
    size_t room = frame->bytes - sizeof(*head);

    /* each string has at least a NUL */
    if (head->strings > room || head->strings > WEAVE_ANSWER_TEXT_MAX ||
        head->headers > WEAVE_ANSWER_HEADERS_MAX ||
        2 * (size_t)head->headers + 1 > head->strings)
        return "a head with wrong lengths of its strings";
    /* only httpd sends 1xx */
    if (head->status < 200 || head->status > 999 || head->content_length < -1)
        return "a head with a wrong status or length";
    if (has_content(answer, head->status))
        answer->body_left = head->content_length;
    return body_count(answer, (int64_t)(room - head->strings), frame->flags);
}

const char *weave_answer_file(weave_answer_t *answer,
                              const weave_frame_t *frame,
                              const weave_frame_file_t *file)
{
    if (file->offset < 0 || file->length < 0 ||
        file->length > INT64_MAX - file->offset)
        return "a file with a wrong offset or length";
    return body_count(answer, file->length, frame->flags);
}

const char *weave_answer_end(weave_answer_t *answer)
{
    if (!answer->has_head)
        return "an end without an answer";
    return body_count(answer, 0, WEAVE_FRAME_LAST);
}
