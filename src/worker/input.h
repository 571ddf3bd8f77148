/* SPDX-License-Identifier: Apache-2.0 */
/* input.h: from bytes of a socket to whole frames. The owner calls these. */
#ifndef INPUT_H
#define INPUT_H

#include "connection.h"
#include "weave_frame.h"

#define INPUT_BYTES 65536 /* of the scratch buffer of an executor */

typedef enum {
    INPUT_FRAME, /* frame and payload stay until input_skip() */
    INPUT_NOTHING,
    INPUT_END, /* nothing is there, and nothing will come */
    INPUT_BAD  /* it is no frame; logged */
} input_e;

/* Begins to read into SCRATCH (INPUT_BYTES), which is borrowed until
 * input_keep(); NULL: into memory of the connection. SHORT_IS_EMPTY: the event
 * that brought the thread here was not the end of the stream, and there was no
 * other event. */
void input_begin(connection_t *connection, char *scratch, int short_is_empty);
/* Copies what is left out of the scratch buffer. */
void input_keep(connection_t *connection);
/* Finds the next frame, and reads until it is whole or nothing more comes. */
input_e input_next(connection_t *connection, weave_frame_t *frame,
                   const char **payload);
/* Takes FRAME and its payload away. */
void input_skip(connection_t *connection, const weave_frame_t *frame);

/* What follows the first frame: a client has one request at a time, and may
 * only ask for it back. */
typedef enum {
    INPUT_ALONE,     /* nothing, or the beginning of a frame */
    INPUT_CANCELLED, /* a CANCEL of it */
    INPUT_EXCESS     /* something else */
} input_behind_e;
/* Tells what follows FRAME, the first one. */
input_behind_e input_behind(connection_t *connection,
                            const weave_frame_t *frame);

/* Reads once. Returns 1 while the whole REQUEST that is there is still wanted,
 * and nothing follows it. */
int input_is_waiting(connection_t *connection);
/* Reads once without waiting, whatever is known. Returns 1 when bytes came. */
int input_receive(connection_t *connection);
/* Notes whether the peer has hung up, where nothing can be read any more and
 * no CANCEL would come. */
void input_peer_check(connection_t *connection);
/* Waits for exactly LEN bytes. Returns 0, or -1 when the peer is gone. */
int input_receive_exactly(connection_t *connection, char *to, size_t len);
/* Frees what has arrived. */
void input_drop(connection_t *connection);
/* Logs what is wrong with the bytes that a client has sent. */
void input_problem_log(weave_frame_status_e status);

#endif
