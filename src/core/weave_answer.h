/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEAVE_ANSWER_H
#define WEAVE_ANSWER_H

/**
 * Bounds what a worker may send as the answer to one request: a state machine
 * that httpd's children put between the wire and everything that costs them
 * memory, descriptors or lines in the log. A worker is less trusted
 * than they are. Pure: no sockets, no memory of its own.
 *
 *   HEAD        once
 *   DATA        behind the head, never empty but for the last one; as much as
 *               the head has announced
 *   FILE        once, behind the head; nothing but the end comes after it. Only
 *               it has a descriptor
 *   READ        where the body was not sent with the request, until its end
 *   LOG         WEAVE_ANSWER_LINES_MAX lines, WEAVE_ANSWER_LINES_BYTES in all
 *   END, LAST   once: nothing comes after it
 *   CANCELLED, REFUSED, STALE
 *               instead of all that but LOG
 */

#include "weave_frame.h"

/** Header lines of a head, and the bytes of all its text. */
#define WEAVE_ANSWER_HEADERS_MAX 65536u
#define WEAVE_ANSWER_TEXT_MAX (2u << 20)
/** Lines of a request for the log. What is more an honest worker writes into
 *  its own log. */
#define WEAVE_ANSWER_LINES_MAX 10000u
#define WEAVE_ANSWER_LINES_BYTES (1u << 20)

/** Lines of one request. */
typedef struct weave_answer_lines_t {
    uint32_t count, bytes;
} weave_answer_lines_t;

typedef struct weave_answer_t {
    uint32_t number; /* of the request */
    weave_answer_lines_t lines;
    int64_t body_left; /* of the announced length; -1: none was */
    int may_read;      /* 1: there is something left to READ */
    int head_only;     /* 1: it answers a HEAD request */
    int has_read, has_head, has_file, is_over;
} weave_answer_t;

/** Begins with the answer to request NUMBER. MAY_READ: its body did not go with
 *  it. HEAD_ONLY: the answer has no body, whatever its head announces. */
void weave_answer_begin(weave_answer_t *answer, uint32_t number, int may_read,
                        int head_only);

/** Takes a frame that weave_frame_decode() has accepted; HAS_FD: a descriptor
 *  came with it. NULL, or what is wrong: then the connection is of no use. */
const char *weave_answer_take(weave_answer_t *answer,
                              const weave_frame_t *frame, int has_fd);

/** Takes what stands at the beginning of the payload, once it has arrived; as
 *  weave_answer_take(). After it, strings and headers of HEAD are no more than
 *  they may be. */
const char *weave_answer_head(weave_answer_t *answer,
                              const weave_frame_t *frame,
                              const weave_frame_head_t *head);
const char *weave_answer_file(weave_answer_t *answer,
                              const weave_frame_t *frame,
                              const weave_frame_file_t *file);

/** Takes an END that says that all of the answer was sent. */
const char *weave_answer_end(weave_answer_t *answer);

/** Notes that the worker was told the end of the body, or why there is none. */
void weave_answer_read_end(weave_answer_t *answer);

/** Counts a line of BYTES for the log: 0, or -1 when it is one too many. */
int weave_answer_line_count(weave_answer_lines_t *lines, size_t bytes);

#endif
