/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEAVE_ANSWER_H
#define WEAVE_ANSWER_H

/**
 * Checks the order and the size of all that a worker sends as the answer to one
 * request. httpd's children, which trust a worker less than themselves, call it
 * before a frame costs them memory, descriptors or lines in the log. Pure: it
 * has no sockets and no memory of its own, and one thread at a time uses a
 * weave_answer_t.
 *
 *   HEAD        once
 *   DATA        after the head; only the last one may be empty; as many bytes
 *               as the head announces
 *   FILE        once, after the head, and only the end comes after it. No other
 *               frame has a descriptor
 *   READ        when the body was not sent with the request, until its end
 *   LOG         WEAVE_ANSWER_LINES_MAX lines, WEAVE_ANSWER_LINES_BYTES in all
 *   END, LAST   once, and nothing comes after it
 *   CANCELLED, REFUSED
 *               instead of all that but LOG
 */

#include "weave_frame.h"

/** The most header lines of a head, and bytes of all its strings. */
#define WEAVE_ANSWER_HEADERS_MAX 65536u
#define WEAVE_ANSWER_TEXT_MAX (2u << 20)
/** The most lines of a request for the log, and their bytes. An honest worker
 *  writes further lines to its own log. */
#define WEAVE_ANSWER_LINES_MAX 10000u
#define WEAVE_ANSWER_LINES_BYTES (1u << 20)

/** The log lines of one request so far. */
typedef struct weave_answer_lines_t {
    uint32_t count, bytes;
} weave_answer_lines_t;

typedef struct weave_answer_t {
    uint32_t number; /* of the request */
    weave_answer_lines_t lines;
    int64_t body_left; /* of the announced length; -1: no length */
    int may_read;      /* 1: READ is allowed, until the body has ended */
    int head_only;     /* 1: it answers a HEAD request */
    int has_read, has_head, has_file, is_over;
} weave_answer_t;

/** Initialises ANSWER for request NUMBER. MAY_READ: the body was not sent with
 *  it. HEAD_ONLY: the answer has no body, whatever its head announces. */
void weave_answer_begin(weave_answer_t *answer, uint32_t number, int may_read,
                        int head_only);

/** Checks a frame that weave_frame_decode() has accepted; HAS_FD: a descriptor
 *  came with it. Returns NULL; or a text that says what is wrong: then close
 *  the connection. */
const char *weave_answer_take(weave_answer_t *answer,
                              const weave_frame_t *frame, int has_fd);

/** Check the fixed part of a payload, once it has arrived. Return values as
 *  weave_answer_take(). Then the strings and headers of HEAD are within their
 *  bounds. */
const char *weave_answer_head(weave_answer_t *answer,
                              const weave_frame_t *frame,
                              const weave_frame_head_t *head);
const char *weave_answer_file(weave_answer_t *answer,
                              const weave_frame_t *frame,
                              const weave_frame_file_t *file);

/** Checks an END whose outcome is that the whole answer was sent. Return value
 *  as weave_answer_take(). */
const char *weave_answer_end(weave_answer_t *answer);

/** Counts a line of BYTES for the log. Returns 0, or -1 when there are too
 *  many. */
int weave_answer_line_count(weave_answer_lines_t *lines, size_t bytes);

#endif
