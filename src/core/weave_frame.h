/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEAVE_FRAME_H
#define WEAVE_FRAME_H

/**
 * Encodes and decodes the frames between an httpd child (the client) and a
 * worker, which go over a UNIX stream socket. Pure: it has no sockets and no
 * memory of its own, and any thread may call it.
 *
 * Both ends are on one machine, so numbers are in its byte order; all have a
 * fixed width, and every frame starts with the magic number and the version.
 * These functions check what has arrived before any other code reads it.
 *
 * A connection carries one request at a time:
 *
 *   client                             worker
 *   HELLO                         ->
 *                                 <-   WELCOME (with the worker's board)
 *   REQUEST (head, small body)    ->
 *                                 <-   LOG, READ, HEAD, DATA, FILE ...
 *   BODY (the answer to a READ)   ->
 *                                 <-   END, or LAST on HEAD, DATA, FILE
 *   REQUEST ...
 *
 * CANCEL asks for a request back. If it has not started, the worker answers
 * CANCELLED; otherwise it ignores the CANCEL, and the answer goes on. REFUSED:
 * the queue is full, and the request has not started. A client that does not
 * want the answer any more closes the connection. Every frame of a request
 * carries its number; the client counts from 1. weave_answer.h says how much of
 * each frame the answer to one request may have.
 */

#include <stddef.h>
#include <stdint.h>

#include "weave_secret.h"

#define WEAVE_FRAME_MAGIC 0x464d5657u /* "WVMF" */
#define WEAVE_FRAME_VERSION 5

/** The longest payload of a frame, and of DATA and BODY. */
#define WEAVE_FRAME_MAX (16u << 20)
#define WEAVE_FRAME_DATA_MAX (1u << 20)
/** The longest text of a LOG: a line of httpd's error log. */
#define WEAVE_FRAME_LINE_MAX 8192u

typedef enum weave_frame_type_e {
    WEAVE_FRAME_HELLO = 1,
    WEAVE_FRAME_WELCOME,
    WEAVE_FRAME_REQUEST,
    WEAVE_FRAME_BODY,
    WEAVE_FRAME_CANCEL,
    WEAVE_FRAME_CANCELLED,
    WEAVE_FRAME_REFUSED,
    WEAVE_FRAME_READ,
    WEAVE_FRAME_HEAD,
    WEAVE_FRAME_DATA,
    WEAVE_FRAME_FILE,
    WEAVE_FRAME_END,
    WEAVE_FRAME_LOG,
    WEAVE_FRAME_TYPES /* greater than all types */
} weave_frame_type_e;

/** Flags. LAST, on HEAD, DATA and FILE: the answer is complete. FLUSH, on the
 *  same: send it at once. FD: a descriptor came with the first byte. */
#define WEAVE_FRAME_LAST 0x1
#define WEAVE_FRAME_FLUSH 0x2
#define WEAVE_FRAME_FD 0x4
/** On REQUEST. HEAD_ONLY: it is a HEAD request. BODY_HERE: its body is
 *  complete, inline or in the FD; without it the worker asks for the body with
 *  READ. */
#define WEAVE_FRAME_HEAD_ONLY 0x8
#define WEAVE_FRAME_BODY_HERE 0x10
/** On REQUEST: a worker has died while it ran this request. */
#define WEAVE_FRAME_SUSPECT 0x20

typedef struct weave_frame_t {
    uint32_t magic;
    uint16_t version;
    uint8_t type;
    uint8_t flags;
    uint32_t bytes; /* of the payload that follows */
    uint32_t number;
} weave_frame_t;
_Static_assert(sizeof(weave_frame_t) == 16, "part of the wire");

typedef enum weave_frame_status_e {
    WEAVE_FRAME_OK,
    WEAVE_FRAME_MORE,         /* more bytes have to come */
    WEAVE_FRAME_BAD,          /* no frame, or a frame against the rules */
    WEAVE_FRAME_OTHER_VERSION /* of another version of mod_weave */
} weave_frame_status_e;

/** Fills *frame from the LEN bytes at DATA. Returns WEAVE_FRAME_OK when the
 *  head is there and its type and length are allowed; the payload may come
 *  later. */
weave_frame_status_e weave_frame_decode(weave_frame_t *frame, const char *data,
                                        size_t len);

/** Returns the head of a frame whose payload has BYTES. */
weave_frame_t weave_frame_make(weave_frame_type_e type, int flags, size_t bytes,
                               uint32_t number);

/* --- payloads ----------------------------------------------------------- */

/** HELLO: names who connects, and has the secret of the worker's application:
 *  when it is a wrong one, the worker closes the connection. Only weaved (by
 *  peer credentials) may be SUPERVISOR; then the connection becomes the
 *  worker's control channel (JSON lines, weave_control.h) after the WELCOME. */
enum { WEAVE_ROLE_CLIENT = 1, WEAVE_ROLE_SUPERVISOR = 2 };
typedef struct weave_hello_t {
    uint32_t pid;
    uint32_t role;
    weave_secret_t secret;
} weave_hello_t;

/** WELCOME: comes with the FD of the worker's board. SLOT is the connection's
 *  index in board->started; WEAVE_SLOT_NONE: there are too many connections. */
typedef struct weave_welcome_t {
    uint32_t pid;
    uint32_t generation;
    uint32_t slot;
    uint32_t reserved;
} weave_welcome_t;

/** REQUEST: this; then VARS times a weave_frame_var_t with its strings; then
 *  INLINE_BYTES of the body. */
typedef struct weave_frame_request_t {
    int64_t content_length; /* of the body, -1: not known */
    int64_t file_bytes;     /* with FD: the size of the body in it */
    uint32_t vars;
    uint32_t inline_bytes;
} weave_frame_request_t;

/** One environ entry. NAME (for WEAVE_VAR_OTHER, with its NUL) and VALUE (with
 *  a NUL that value_bytes does not count) follow. VAR_NAMED as the key means
 *  WEAVE_VAR_OTHER too: for senders that do not include weave_engine.h. */
#define WEAVE_FRAME_VAR_NAMED UINT32_MAX
typedef struct weave_frame_var_t {
    uint32_t key;
    uint32_t name_bytes; /* with the NUL; 0: no name */
    uint32_t value_bytes;
} weave_frame_var_t;

/** READ: asks for up to BYTES of the body. BODY is the answer: ERROR is 0 and
 *  bytes of the body follow (none: its end), or ERROR is a weave_io_e. */
typedef struct weave_frame_read_t {
    uint32_t bytes;
    uint32_t reserved;
} weave_frame_read_t;
typedef struct weave_frame_body_t {
    int32_t error;
    uint32_t reserved;
} weave_frame_body_t;

/** HEAD: this; then the reason and HEADERS pairs of name and value, each with
 *  its NUL, STRINGS bytes in all; then the first bytes of the body, if any. */
typedef struct weave_frame_head_t {
    int64_t content_length; /* -1: unknown */
    int32_t status;
    uint32_t headers;
    uint32_t strings;
    uint32_t reserved;
} weave_frame_head_t;

/** FILE: comes with the FD of a regular file. */
typedef struct weave_frame_file_t {
    int64_t offset;
    int64_t length;
} weave_frame_file_t;

/** END: has the result of weave_engine_t.run(). */
typedef struct weave_frame_end_t {
    int32_t outcome;
    uint32_t reserved;
} weave_frame_end_t;

/** LOG: this, then one line. */
typedef struct weave_frame_log_t {
    uint32_t level;
    uint32_t reserved;
} weave_frame_log_t;

/* --- writing ------------------------------------------------------------ */

/** Returns the bytes of an entry in a REQUEST. NAME_LEN 0: no name. */
size_t weave_frame_var_size(size_t name_len, size_t value_len);
/** Writes an entry to TO; returns the place behind it. */
char *weave_frame_var_write(char *to, uint32_t key, const char *name,
                            size_t name_len, const char *value,
                            size_t value_len);

/* --- reading ------------------------------------------------------------ */

/** A place in a payload. */
typedef struct weave_frame_cursor_t {
    const char *at;
    const char *end;
} weave_frame_cursor_t;

/** Returns the fixed part of a payload, and sets the cursor behind it. NULL:
 *  the payload is shorter than that. */
const void *weave_frame_open(weave_frame_cursor_t *cursor, const char *payload,
                             size_t bytes, size_t fixed);

/** Reads the next entry of a REQUEST; *name is NULL when it has none. Returns
 *  WEAVE_FRAME_OK; or WEAVE_FRAME_BAD when the payload ends before it, or a
 *  string has another length than the entry says. */
weave_frame_status_e weave_frame_var_next(weave_frame_cursor_t *cursor,
                                          weave_frame_var_t *var,
                                          const char **name,
                                          const char **value);

/** Returns the next string, or NULL when no NUL comes before the end. */
const char *weave_frame_string_next(weave_frame_cursor_t *cursor);

#endif
