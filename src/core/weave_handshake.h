/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEAVE_HANDSHAKE_H
#define WEAVE_HANDSHAKE_H

/**
 * How a connection to a worker begins, from the side of who connects: HELLO,
 * and WELCOME in return (weave_frame.h).
 */

#include <apr_errno.h>

#include "weave_frame.h"

/** HELLO, as it is sent. */
typedef struct weave_hello_frame_t {
    weave_frame_t frame;
    weave_hello_t hello;
} weave_hello_frame_t;

/** For a worker of the application that has SECRET: only after
 *  weave_socket_connect. */
weave_hello_frame_t weave_hello_make(uint32_t role,
                                     const weave_secret_t *secret);

/** The part of a WELCOME that has arrived, and the board that came with it
 *  (-1: none yet). Begins as WEAVE_WELCOME_NOTHING. */
typedef struct weave_welcome_part_t {
    int board_fd;
    int careful; /* 1: it must be plain (weave_fd.h) */
    size_t len;
    char data[sizeof(weave_frame_t) + sizeof(weave_welcome_t)];
} weave_welcome_part_t;
#define WEAVE_WELCOME_NOTHING ((weave_welcome_part_t){.board_fd = -1})

/**
 * Receives once from FD, with FLAGS of recv(), and never a byte beyond the
 * WELCOME. APR_SUCCESS and *welcome: it is whole, and the board is the
 * caller's. APR_EAGAIN: more is to come. Otherwise the connection is of no use:
 * APR_EOF, EPROTO (another version of mod_weave), EBADMSG (it is no WELCOME) or
 * an errno; the board stays open until weave_welcome_drop.
 */
apr_status_t weave_welcome_receive(weave_welcome_t *welcome,
                                   weave_welcome_part_t *part, int fd,
                                   int flags);

/** Closes the board, if there is one. */
void weave_welcome_drop(weave_welcome_part_t *part);

#endif
