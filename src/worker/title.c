/* SPDX-License-Identifier: Apache-2.0 */
/* title.c: sets what ps shows */
#include "process.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

/* Returns the end of the area of argv and the environment, as the kernel has
 * laid it out. */
static char *area_end(int argc, char **argv)
{
    char *end = argv[0] + strlen(argv[0]) + 1;
    int i;

    for (i = 1; i < argc && argv[i] == end; i++)
        end += strlen(end) + 1;
    if (i < argc)
        return end;
    for (i = 0; environ[i] && environ[i] == end; i++)
        end += strlen(end) + 1;
    return end;
}

/* Copies the environment out of that area, which the title overwrites. Returns
 * -1 when it cannot: then there is no title. */
static int environ_move(void)
{
    size_t count = 0, i;
    char **copy;

    while (environ[count])
        count++;
    copy = calloc(count + 1, sizeof(*copy));
    if (!copy)
        return -1;
    for (i = 0; i < count; i++) {
        copy[i] = strdup(environ[i]);
        if (!copy[i])
            break;
    }
    if (i == count) {
        environ = copy;
        return 0;
    }
    while (i > 0)
        free(copy[--i]);
    free(copy);
    return -1;
}

void title_set(int argc, char **argv, const char *name)
{
    char *end;
    size_t room;

    prctl(PR_SET_NAME, "weave-worker");
    if (argc < 1)
        return;
    end = area_end(argc, argv);
    if (environ_move() < 0)
        return;
    room = (size_t)(end - argv[0]);
    memset(argv[0], 0, room);
    snprintf(argv[0], room, "weave-worker %s", name);
}
