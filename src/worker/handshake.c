/* SPDX-License-Identifier: Apache-2.0 */
/* handshake.c: accepts connections and checks their HELLO, in the control
 * thread */
#include "control.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "weave_fd.h"

#define PATIENCE_US 10000000
#define DRAIN_PATIENCE_US 1000000
#define RETRY_US 200000
/* so many may be about to say HELLO after a turn: it comes right after the
 * connection, so the oldest ones most likely never will */
#define PENDING_MAX 256
#define ACCEPT_AT_ONCE 128
#define BACKLOG 1024 /* of the listening socket, as weaved has set it */
#define STRANGER_US                                                            \
    60000000 /* between two messages about clients without the secret */

typedef struct pending_t {
    struct pending_t *next;
    int fd;
    int64_t since_us;
    size_t len;
    char data[sizeof(weave_frame_t) + sizeof(weave_hello_t)];
} pending_t;

static struct {
    pending_t *first; /* the newest first */
    int64_t retry_us; /* accept() pauses until then; 0: it does not */
    int accept_logged, many_logged;
    int64_t stranger_us; /* when WEAVE0200 was logged last; 0: never */
    unsigned strangers;  /* refused since then */
} handshake;

void handshake_start(void)
{
    events_watch(worker.listen_fd, EVENT_LISTEN, NULL);
}

/* ---- ends ---- */

static void pending_forget(pending_t *pending)
{
    pending_t **at = &handshake.first;

    while (*at != pending)
        at = &(*at)->next;
    *at = pending->next;
    events_unwatch(pending->fd);
    free(pending);
}

static void pending_close(pending_t *pending)
{
    int fd = pending->fd;

    pending_forget(pending);
    close(fd);
}

static int welcome_send(int fd, uint32_t slot)
{
    weave_welcome_t payload = {(uint32_t)getpid(), worker.generation, slot, 0};
    weave_frame_t frame = weave_frame_make(WEAVE_FRAME_WELCOME, WEAVE_FRAME_FD,
                                           sizeof(payload), 0);
    char data[sizeof(frame) + sizeof(payload)];
    long sent;

    memcpy(data, &frame, sizeof(frame));
    memcpy(data + sizeof(frame), &payload, sizeof(payload));
    sent =
        weave_fd_send(fd, data, sizeof(data), worker.readonly_fd, MSG_DONTWAIT);
    if (sent < 0 && errno == EPERM) /* weaved takes no board when it warms up */
        sent = weave_fd_send(fd, data, sizeof(data), -1, MSG_DONTWAIT);
    return sent == (long)sizeof(data) ? 0 : -1;
}

static void client_admit(int fd, uint32_t pid)
{
    struct epoll_event event = {.events = EPOLLIN | EPOLLRDHUP | EPOLLET};
    connection_t *connection = connection_open(fd);

    /* clients pass the files of bodies; others may pass nothing */
    weave_fd_pass_set(fd, 1);
    if (!connection) {
        if (!handshake.many_logged++)
            weave_line_say(WEAVE_LOG_WARNING,
                           "WEAVE0096: there are more than %d connections:"
                           " further ones are refused",
                           WEAVE_BOARD_SLOTS);
        welcome_send(fd, WEAVE_SLOT_NONE);
        close(fd);
        return;
    }
    event.data.u64 =
        (uint64_t)atomic_load(&connection->epoch) << 32 | connection->slot;
    if (welcome_send(fd, connection->slot) < 0) {
        connection_close(connection, "the client takes no WELCOME");
        return;
    }
    PROCESS_DEBUG("connection %u is open, to process %u", connection->slot,
                  pid);
    /* from now on an executor may claim it */
    atomic_store(&connection->state, CONNECTION_IDLE);
    if (epoll_ctl(worker.epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0 &&
        connection_claim(connection))
        connection_close(connection, "it cannot be watched");
}

static void supervisor_admit(int fd)
{
    long uid = -1, pid = -1;

    if (weave_socket_peer(fd, &uid, &pid) != APR_SUCCESS ||
        (uid != 0 && uid != worker.starter_uid)) {
        weave_line_say(WEAVE_LOG_WARNING,
                       "WEAVE0097: refused process %ld of user %ld, which"
                       " wanted to supervise this worker: only weaved may",
                       pid, uid);
        close(fd);
    }
    else if (welcome_send(fd, WEAVE_SLOT_NONE) < 0) {
        close(fd);
    }
    else {
        channel_replace(fd);
    }
}

/* Logs a client without the secret, but not each: many tries must not fill the
 * log. */
static void stranger_log(int fd)
{
    int64_t now = weave_clock_us();
    long uid = -1, pid = -1;

    handshake.strangers++;
    if (handshake.stranger_us && now - handshake.stranger_us < STRANGER_US)
        return;
    weave_socket_peer(fd, &uid, &pid);
    weave_line_say(WEAVE_LOG_WARNING,
                   "WEAVE0200: refused process %ld of user %ld, which does not"
                   " have the secret of this application: only httpd and"
                   " weaved have it (%u tries since the last such message)",
                   pid, uid, handshake.strangers);
    handshake.stranger_us = now;
    handshake.strangers = 0;
}

static void peer_admit(pending_t *pending)
{
    int fd = pending->fd;
    weave_frame_t frame;
    weave_hello_t hello;

    memcpy(&hello, pending->data + sizeof(frame), sizeof(hello));
    pending_forget(pending);
    if (!weave_secret_is_same(&hello.secret, &worker.secret)) {
        stranger_log(fd);
        close(fd);
    }
    else if (hello.role == WEAVE_ROLE_CLIENT)
        client_admit(fd, hello.pid);
    else if (hello.role == WEAVE_ROLE_SUPERVISOR)
        supervisor_admit(fd);
    else
        close(fd);
}

/* ---- from accept() to HELLO ---- */

void handshake_event(void *data)
{
    pending_t *pending = data;
    weave_frame_status_e status;
    weave_frame_t frame;
    ssize_t got = recv(pending->fd, pending->data + pending->len,
                       sizeof(pending->data) - pending->len, MSG_DONTWAIT);

    if (got <= 0) {
        if (got == 0 || (errno != EAGAIN && errno != EINTR))
            pending_close(pending);
        return;
    }
    pending->len += (size_t)got;
    status = weave_frame_decode(&frame, pending->data, pending->len);
    if (status == WEAVE_FRAME_OK && frame.type == WEAVE_FRAME_HELLO) {
        if (pending->len == sizeof(pending->data))
            peer_admit(pending);
    }
    else if (status != WEAVE_FRAME_MORE) {
        input_problem_log(status);
        pending_close(pending);
    }
}

static void pending_add(int fd)
{
    pending_t *pending = calloc(1, sizeof(*pending));

    if (!pending || events_watch(fd, EVENT_PENDING, pending) < 0) {
        close(fd);
        free(pending);
        return;
    }
    pending->fd = fd;
    pending->since_us = weave_clock_us();
    pending->next = handshake.first;
    handshake.first = pending;
    handshake_event(pending); /* HELLO is mostly here by now */
}

/* Pauses when accept() fails for want of descriptors: an immediate retry would
 * spin. */
static void accept_pause(void)
{
    if (!handshake.accept_logged++)
        weave_line_say(WEAVE_LOG_ERROR,
                       "WEAVE0098: cannot accept a connection: %s",
                       strerror(errno));
    events_unwatch(worker.listen_fd);
    handshake.retry_us = weave_clock_us() + RETRY_US;
}

static void connections_accept(int most)
{
    while (worker.listen_fd >= 0 && most-- > 0) {
        int fd =
            accept4(worker.listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

        if (fd >= 0) {
            pending_add(fd);
            continue;
        }
        if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS ||
            errno == ENOMEM)
            accept_pause();
        else if (errno == EINTR || errno == ECONNABORTED)
            continue;
        return;
    }
}

void handshake_accept(void)
{
    connections_accept(ACCEPT_AT_ONCE);
}

int64_t handshake_tick(int64_t now_us)
{
    int64_t patience =
        atomic_load(&worker.draining) ? DRAIN_PATIENCE_US : PATIENCE_US;
    int64_t next = INT64_MAX;
    pending_t *pending, *after;
    int count = 0;

    for (pending = handshake.first; pending; pending = after) {
        after = pending->next;
        /* other processes of httpd's user may connect, and must not take all
         * descriptors of this process */
        if (++count > PENDING_MAX || pending->since_us + patience <= now_us) {
            PROCESS_DEBUG("a connection without HELLO is closed");
            pending_close(pending);
        }
        else if (pending->since_us + patience < next)
            next = pending->since_us + patience;
    }
    if (handshake.retry_us && handshake.retry_us <= now_us) {
        handshake.retry_us = 0;
        if (worker.listen_fd >= 0) {
            handshake_start();
            handshake_accept();
        }
    }
    if (handshake.retry_us && handshake.retry_us < next)
        next = handshake.retry_us;
    return next;
}

void handshake_stop(void)
{
    int fd = worker.listen_fd;

    connections_accept(BACKLOG);
    worker.listen_fd = -1;
    if (fd < 0)
        return;
    events_unwatch(fd);
    close(fd);
}

int handshake_is_done(void)
{
    return !handshake.first;
}

void handshake_fork_close(void)
{
    const pending_t *pending;

    for (pending = handshake.first; pending; pending = pending->next)
        close(pending->fd);
}
