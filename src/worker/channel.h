/* SPDX-License-Identifier: Apache-2.0 */
/* channel.h: messages between this worker and weaved */
#ifndef CHANNEL_H
#define CHANNEL_H

#include <jansson.h>

#include "process.h"
#include "weave_control.h"
#include "weave_report.h"

/* Takes CONTROL, with what has arrived in it. Before there are threads. */
void channel_open(const weave_control_t *control);
/* Returns the next message that is here, or NULL. The caller owns it. The
 * control thread. */
json_t *channel_receive(void);
/* Makes FD the channel, of a new weaved (-1: none), and tells it again what it
 * must know. The control thread. */
void channel_replace(int fd);

/* Sends MESSAGE, whose reference it takes. Any thread, as what follows. */
void channel_send(json_t *message);
void channel_ready_send(void);
/* Asks for a successor of this worker. KIND and WHY are sent once, and none
 * after WEAVE_REPORT_STUCK: weaved counts reports. WHY is not copied. */
void channel_successor_ask(weave_report_e kind, const char *why);

/* Closes the descriptors here, in a process that the application has forked. */
void channel_fork_close(void);

#endif
