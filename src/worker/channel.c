/* SPDX-License-Identifier: Apache-2.0 */
/* channel.c: the connection to weaved, which may be replaced */
#include "control.h"

#include <unistd.h>

#define SEND_MS 1000

static struct {
    pthread_mutex_t lock;    /* of sending */
    weave_control_t control; /* only the control thread changes it */
    /* what a new weaved must hear again; under `lock` */
    const char *successor_why; /* NULL: nothing */
    weave_report_e successor_kind;
} channel = {.lock = PTHREAD_MUTEX_INITIALIZER, .control.fd = -1};

void channel_open(const weave_control_t *control)
{
    channel.control = *control;
    events_watch(control->fd, EVENT_CHANNEL, NULL);
}

void channel_report(weave_report_e kind, const char *text, int pass)
{
    json_t *message = weave_report_make(kind, text);

    pthread_mutex_lock(&channel.lock);
    if (channel.control.fd >= 0)
        weave_control_send(channel.control.fd, message, pass, SEND_MS);
    pthread_mutex_unlock(&channel.lock);
    json_decref(message);
}

void channel_successor_ask(weave_report_e kind, const char *why)
{
    int first;

    pthread_mutex_lock(&channel.lock);
    first = !channel.successor_why || channel.successor_kind < kind;
    if (first) {
        channel.successor_kind = kind;
        channel.successor_why = why;
    }
    pthread_mutex_unlock(&channel.lock);
    if (!first)
        return;
    PROCESS_DEBUG("asking weaved for a successor: %s", why);
    channel_report(kind, why, -1);
}

json_t *channel_receive(void)
{
    json_t *message = NULL;
    apr_status_t rv;
    int passed = -1;

    if (channel.control.fd < 0)
        return NULL;
    rv = weave_control_receive(&channel.control, &message, &passed, 0);
    if (rv == APR_SUCCESS) {
        if (passed >= 0)
            close(passed);
        return message;
    }
    /* weaved has died, or has sent rubbish: another one will connect */
    if (!APR_STATUS_IS_EAGAIN(rv))
        channel_replace(-1);
    return NULL;
}

void channel_replace(int fd)
{
    weave_report_e kind;
    const char *why;

    pthread_mutex_lock(&channel.lock);
    if (channel.control.fd >= 0)
        events_unwatch(channel.control.fd);
    weave_control_close(&channel.control);
    channel.control.fd = fd;
    kind = channel.successor_kind;
    why = channel.successor_why;
    pthread_mutex_unlock(&channel.lock);
    PROCESS_DEBUG(fd < 0 ? "weaved is gone: serving without it"
                         : "weaved supervises this worker");
    if (fd < 0)
        return;
    events_watch(fd, EVENT_CHANNEL, NULL);
    channel_report(WEAVE_REPORT_LOG, NULL, worker.log_fd);
    if (atomic_load(&worker.ready))
        channel_report(WEAVE_REPORT_READY, worker.engine->python, -1);
    if (why)
        channel_report(kind, why, -1);
}

void channel_fork_close(void)
{
    close(channel.control.fd);
}
