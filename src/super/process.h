/* SPDX-License-Identifier: Apache-2.0 */
/* process.h: processes, as the kernel tells of them */
#ifndef SUPER_PROCESS_H
#define SUPER_PROCESS_H

#include <stdint.h>
#include <sys/types.h>

#include <apr_pools.h>

/* Returns the time at which PID was born, in the kernel's own unit, which with
 * the pid names a process for ever. 0: there is no such process. */
uint64_t super_process_birth(pid_t pid);
/* Returns how long ago BIRTH was, in microseconds. */
int64_t super_process_age(uint64_t birth);
/* Returns the bytes of memory that PID has; 0: not known. */
uint64_t super_process_rss(pid_t pid);
/* Tells people how a process has ended; STATUS as waitpid() sets it, -1: not
 * known. */
const char *super_process_end(int status, apr_pool_t *pool);

/* pidfd_open(2) and pidfd_send_signal(2), which old C libraries lack. */
int super_pidfd_open(pid_t pid);
int super_pidfd_kill(int pidfd, int number);

#endif
