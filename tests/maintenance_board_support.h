/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MAINTENANCE_BOARD_SUPPORT_H
#define MAINTENANCE_BOARD_SUPPORT_H

/** A maintenance board for each test. */

#include "conf_support.h"

#include "weave_maintenance_board.h"

static int fd;
static weave_maintenance_board_t *board;

static UNUSED int board_setup(void **state)
{
    return each_setup(state) || weave_maintenance_board_create(&fd, &board) ? -1
                                                                            : 0;
}

static UNUSED int board_teardown(void **state)
{
    weave_maintenance_board_unmap(board);
    close(fd);
    return each_teardown(state);
}

#define BOARD(test)                                                            \
    cmocka_unit_test_setup_teardown(test, board_setup, board_teardown)

#endif
