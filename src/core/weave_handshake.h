/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEAVE_HANDSHAKE_H
#define WEAVE_HANDSHAKE_H

/** Begins a connection to a worker (weave_frame.h), where it connects. */

#include <apr_errno.h>

#include "weave_frame.h"

/** HELLO as it is sent. */
typedef struct weave_hello_frame_t {
    weave_frame_t frame;
    weave_hello_t hello;
} weave_hello_frame_t;

/** Returns the HELLO for a worker of the application that has SECRET. Send it
 *  only after weave_socket_connect has made sure of the other end. */
weave_hello_frame_t weave_hello_make(uint32_t role,
                                     const weave_secret_t *secret);

/** The part of a WELCOME that has arrived, and the descriptor of the board that
 *  came with it (-1: none yet). Initialise it as WEAVE_WELCOME_NOTHING. */
typedef struct weave_welcome_part_t {
    int board_fd;
    int careful; /* 1: refuse a descriptor that is not plain (weave_fd.h) */
    size_t len;
    char data[sizeof(weave_frame_t) + sizeof(weave_welcome_t)];
} weave_welcome_part_t;
#define WEAVE_WELCOME_NOTHING ((weave_welcome_part_t){.board_fd = -1})

/** Receives once from FD, with FLAGS of recv(), and never a byte beyond the
 *  WELCOME. Returns APR_SUCCESS when the WELCOME is complete: sets *welcome,
 *  and the caller owns part->board_fd. Returns APR_EAGAIN when more has to
 *  come. Otherwise the connection is useless: APR_EOF, EPROTO (another version
 *  of mod_weave), EBADMSG (it is no WELCOME) or an errno; call
 *  weave_welcome_drop. */
apr_status_t weave_welcome_receive(weave_welcome_t *welcome,
                                   weave_welcome_part_t *part, int fd,
                                   int flags);

/** Closes the descriptor of the board, if it has come. */
void weave_welcome_drop(weave_welcome_part_t *part);

#endif
