/* SPDX-License-Identifier: Apache-2.0 */
/* weave_handshake.c: makes HELLO and receives WELCOME */
#include "weave_handshake.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "weave_fd.h"

_Static_assert(sizeof(weave_hello_frame_t) ==
                   sizeof(weave_frame_t) + sizeof(weave_hello_t),
               "HELLO is sent as it is");

weave_hello_frame_t weave_hello_make(uint32_t role,
                                     const weave_secret_t *secret)
{
    return (weave_hello_frame_t){
        weave_frame_make(WEAVE_FRAME_HELLO, 0, sizeof(weave_hello_t), 0),
        {(uint32_t)getpid(), role, *secret}};
}

/* Returns APR_SUCCESS and sets *welcome when all of it is there. */
static apr_status_t part_check(weave_welcome_t *welcome,
                               const weave_welcome_part_t *part)
{
    weave_frame_t frame;

    switch (weave_frame_decode(&frame, part->data, part->len)) {
    case WEAVE_FRAME_MORE:
        return APR_EAGAIN;
    case WEAVE_FRAME_OTHER_VERSION:
        return EPROTO;
    case WEAVE_FRAME_OK:
        break;
    default:
        return EBADMSG;
    }
    if (frame.type != WEAVE_FRAME_WELCOME)
        return EBADMSG;
    if (part->len < sizeof(part->data))
        return APR_EAGAIN;
    memcpy(welcome, part->data + sizeof(frame), sizeof(*welcome));
    return APR_SUCCESS;
}

apr_status_t weave_welcome_receive(weave_welcome_t *welcome,
                                   weave_welcome_part_t *part, int fd,
                                   int flags)
{
    int passed = -1;
    long got = weave_fd_receive(fd, part->data + part->len,
                                sizeof(part->data) - part->len, &passed, flags,
                                part->careful);
    int error = errno;

    if (part->careful && (passed == WEAVE_FD_MANY ||
                          (passed >= 0 && !weave_fd_is_plain(passed))))
        return EBADMSG; /* closing it may wait */
    if (passed >= 0 && part->board_fd < 0)
        part->board_fd = passed;
    else if (passed >= 0)
        close(passed);
    if (got == 0)
        return APR_EOF;
    if (got < 0)
        return error == EINTR ? APR_EAGAIN : error;
    part->len += (size_t)got;
    return part_check(welcome, part);
}

void weave_welcome_drop(weave_welcome_part_t *part)
{
    if (part->board_fd >= 0)
        close(part->board_fd);
    part->board_fd = -1;
}
