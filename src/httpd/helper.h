/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOD_WEAVE_HELPER_H
#define MOD_WEAVE_HELPER_H

#include "mod_weave.h"

/* A process that the parent has forked for one task. */
typedef struct mod_weave_helper_t {
    pid_t pid;
    int fd; /* of the parent: the answer; -1: there is none */
    char *answer;
    apr_size_t room; /* in `answer`; who fills it is killed */
    /* what mod_weave_helper_wait() sets; zero before */
    apr_size_t len; /* of the answer */
    int status;     /* as waitpid() has it */
    int is_late;    /* it was killed because its time was over */
} mod_weave_helper_t;

/* Waits until the process has ended or filled `answer`, TIMEOUT_MS at most, and
 * kills it and what is left of its process group. */
void mod_weave_helper_wait(mod_weave_helper_t *helper, int timeout_ms);

/* Returns what LOOK makes of PATH with the rights of httpd's children: 0 or a
 * number up to 255, such as an errno. LOOK is our own code. */
typedef int mod_weave_look_fn(const char *path, apr_pool_t *pool);
int mod_weave_child_tries(mod_weave_look_fn *look, const char *path,
                          apr_pool_t *pool);

#endif
