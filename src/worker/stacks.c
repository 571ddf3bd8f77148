/* SPDX-License-Identifier: Apache-2.0 */
/* stacks.c: writes the stacks of all threads into the log
 *
 * faulthandler writes a line in many parts, and other threads may log between
 * two of them. So it writes into memory, which never makes it wait, and from
 * there whole lines go to standard error. That may have to wait for the reader
 * of the log: a thread of its own does it, and not the control thread; in a
 * crash it is the handler of the signal. */
#include "control.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "weave_file.h"

#define STACK_BYTES (256 * 1024)
/* of faulthandler's 100 threads with 100 lines each: what is more is left out
 */
#define TEXT_BYTES (1024 * 1024)
/* the stacks come first: so long the next message waits for them */
#define WAIT_US 2000
#define WAITS 50

/* those that faulthandler handles */
static const int crashes[] = {SIGABRT, SIGBUS, SIGFPE, SIGILL, SIGSEGV};
#define CRASHES (sizeof(crashes) / sizeof(*crashes))

static struct sigaction before[CRASHES];
static int text_fd = 2;
static struct stat text_stat; /* of the memory behind it */
static const char *text;      /* NULL: faulthandler writes to standard error */
static atomic_int running;

/* The application may have closed it, and opened a file that has its number
 * now. Async-signal-safe. */
static int text_is_ours(void)
{
    struct stat now;

    return fstat(text_fd, &now) == 0 && now.st_dev == text_stat.st_dev &&
           now.st_ino == text_stat.st_ino;
}

/* ---- lines; async-signal-safe ---- */

/* Returns how many bytes one write can have that nothing comes in between: as
 * many whole lines as a pipe takes in one piece. */
static size_t piece_bytes(const char *at, size_t left)
{
    const char *newline;

    if (left <= PIPE_BUF)
        return left;
    newline = memrchr(at, '\n', PIPE_BUF);
    return newline ? (size_t)(newline + 1 - at) : PIPE_BUF;
}

/* Moves what faulthandler has written to standard error. */
static void text_pass(void)
{
    off_t end, at = 0;

    if (!text || !text_is_ours())
        return;
    end = lseek(text_fd, 0, SEEK_CUR);
    while (at < end) {
        size_t bytes = piece_bytes(text + at, (size_t)(end - at));

        if (weave_file_write(2, text + at, bytes) < 0)
            break;
        at += (off_t)bytes;
    }
    if (end == TEXT_BYTES)
        (void)weave_file_write(2, "...\n", 4);
    lseek(text_fd, 0, SEEK_SET);
    fallocate(text_fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0,
              TEXT_BYTES);
}

/* faulthandler has written its lines, and raises the signal again. */
static void crash_handle(int signum)
{
    int saved = errno;
    size_t i;

    if (!worker.forked)
        text_pass();
    for (i = 0; i < CRASHES; i++)
        if (crashes[i] == signum)
            sigaction(signum, &before[i], NULL);
    raise(signum); /* is delivered when this function has returned */
    errno = saved;
}

/* ---- where they come from ---- */

/* Returns memory that cannot grow, or -1. */
static int memory_create(void)
{
    int fd = memfd_create("weave-stacks", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    void *mapped = MAP_FAILED;

    if (fd >= 0 && fstat(fd, &text_stat) == 0 &&
        ftruncate(fd, TEXT_BYTES) == 0 &&
        fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) == 0)
        mapped = mmap(NULL, TEXT_BYTES, PROT_READ, MAP_SHARED, fd, 0);
    if (mapped != MAP_FAILED) {
        text = mapped;
        return fd;
    }
    if (fd >= 0)
        close(fd);
    return -1;
}

int stacks_open(void)
{
    struct sigaction crash = {.sa_handler = crash_handle,
                              .sa_flags = SA_ONSTACK};
    int fd = memory_create();
    size_t i;

    if (fd < 0)
        return text_fd;
    text_fd = fd;
    for (i = 0; i < CRASHES; i++)
        sigaction(crashes[i], &crash, &before[i]);
    return text_fd;
}

void stacks_fork(void)
{
    if (text && text_is_ours())
        dup3(2, text_fd, O_CLOEXEC);
}

static void *stacks_write(void *unused)
{
    sigset_t stacks;

    (void)unused;
    sigemptyset(&stacks);
    sigaddset(&stacks, worker.stack_signal);
    pthread_sigmask(SIG_UNBLOCK, &stacks, NULL);
    pthread_kill(pthread_self(), worker.stack_signal);
    text_pass();
    atomic_store(&running, 0);
    return NULL;
}

void stacks_show(void)
{
    int i;

    if (!worker.stack_signal) {
        weave_line_say(WEAVE_LOG_INFO,
                       "Python does not run yet: no stacks to show");
        return;
    }
    if (text && !text_is_ours()) {
        weave_line_say(WEAVE_LOG_INFO,
                       "the application has closed the descriptor that the"
                       " stacks go through: no stacks to show");
        return;
    }
    if (atomic_exchange(&running, 1))
        return; /* the last ones still wait for their reader */
    if (process_thread_start(stacks_write, NULL, STACK_BYTES, "weave-stacks"))
        atomic_store(&running, 0);
    parking_watch_end();
    for (i = 0; i < WAITS && atomic_load(&running); i++)
        usleep(WAIT_US);
}
