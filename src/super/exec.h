/* SPDX-License-Identifier: Apache-2.0 */
/* exec.h: from weaved to weave-worker */
#ifndef SUPER_EXEC_H
#define SUPER_EXEC_H

#include "relay.h"

/* All that a worker is started with. The descriptors stay the caller's. */
typedef struct super_exec_t {
    const weave_spec_t *spec;
    uint32_t generation;
    int listen_fd, control_fd, board_fd;
    const super_pipe_t *log;
} super_exec_t;

/* Starts a worker. *report_fd is the end of a pipe through which its process
 * tells what goes wrong before exec; when that went well, it tells nothing and
 * the pipe ends. */
apr_status_t super_exec_worker(pid_t *pid, int *report_fd,
                               const super_exec_t *exec);

#endif
