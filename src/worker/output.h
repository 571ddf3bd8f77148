/* SPDX-License-Identifier: Apache-2.0 */
/* output.h: frames to a client (output.c), and the file for what a slow reader
 * leaves (spool.c) */
#ifndef OUTPUT_H
#define OUTPUT_H

#include <sys/uio.h>

#include "connection.h"
#include "weave_frame.h"

#define INLINE_BYTES 65536 /* a body up to this size goes with its head */
#define BATCH_PARTS 64

/* Parts of an answer that leave together. `owner` of a part is released when
 * that part is sent, or dropped; sending does one of both. */
typedef struct batch_t {
    struct iovec parts[BATCH_PARTS];
    void *owners[BATCH_PARTS];
    int count;
    int pass; /* a descriptor for the first byte (borrowed), or -1 */
} batch_t;

/* Sends BATCH, and keeps what a slow reader leaves. PATIENT 1: waits for a
 * reader that makes progress, and while nothing more can be kept; 0: never
 * waits. Returns WEAVE_IO_OK or WEAVE_IO_GONE. With the lock. */
weave_io_e output_send_locked(connection_t *connection, batch_t *batch,
                              int patient);
/* Sends a frame of a few bytes. With the lock. */
weave_io_e output_frame_locked(connection_t *connection,
                               weave_frame_type_e type, uint32_t number,
                               const void *payload, size_t bytes, int patient);
/* Takes the lock, sends such a frame, and waits for the reader. */
weave_io_e output_frame(connection_t *connection, weave_frame_type_e type,
                        uint32_t number, const void *payload, size_t bytes);
/* Sends a frame without payload that leaves at once. A client that has no room
 * for it does not read: returns WEAVE_IO_GONE. */
weave_io_e output_reply(connection_t *connection, weave_frame_type_e type,
                        uint32_t number);
/* Sends as much of what was kept as there is room for. With the lock. */
void output_pump(connection_t *connection);
/* Drops what was kept. With the lock. */
void output_drop(connection_t *connection);

/* Appends LEN bytes to the file of CONNECTION, at its `spool_end` of before.
 * Returns 0; or -1 when the disk is full, or no more is allowed (logged once).
 * With the lock. */
int spool_write(connection_t *connection, const char *data, size_t len);
/* Closes the file. With the lock. */
void spool_close(connection_t *connection);

#endif
