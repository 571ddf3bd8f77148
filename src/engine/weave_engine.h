/* SPDX-License-Identifier: Apache-2.0 */
/* weave_engine.h: the record of functions between a Python engine and its
 * host.
 *
 * An engine is one shared object per Python version (weave-engine-3.11.so).
 * It knows WSGI and nothing of httpd, APR or sockets; a host (an httpd child
 * in embedded mode, or weave-worker) knows nothing of Python. Each side
 * hands the other one versioned record. No errno, apr_status_t or PyObject
 * crosses this line.
 *
 * Threads: start(), load() and finish() are called by one thread, Python's
 * main thread, in that order, load() as often as it takes. run() is called by
 * any thread, only after a load() that succeeded. release() is called by any
 * thread, at any time. None of them may be called from a signal handler.
 */
#ifndef WEAVE_ENGINE_H
#define WEAVE_ENGINE_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/types.h>

/* Raised whenever a struct below changes in any way. */
#define WEAVE_ENGINE_ABI 5
#define WEAVE_ENGINE_MAGIC 0x57454156u /* "WEAV" */
#define WEAVE_ENGINE_SYMBOL "weave_engine"

/* Severities, numbered as syslog(3) and httpd number them. */
typedef enum {
    WEAVE_LOG_CRITICAL = 2,
    WEAVE_LOG_ERROR = 3,
    WEAVE_LOG_WARNING = 4,
    WEAVE_LOG_NOTICE = 5,
    WEAVE_LOG_INFO = 6,
    WEAVE_LOG_DEBUG = 7
} weave_log_e;

/* How an exchange with the client may end early; negative, so that
 * body_read() can return them beside a byte count. */
typedef enum {
    WEAVE_IO_OK = 0,
    WEAVE_IO_GONE = -1,      /* the client went away: nobody's fault */
    WEAVE_IO_TOO_LARGE = -2, /* over LimitRequestBody: 413 */
    WEAVE_IO_TIMEOUT = -3,   /* the client was too slow: 408 */
    WEAVE_IO_BAD = -4        /* malformed body: 400 */
} weave_io_e;

/* The environ keys that both sides know by number. A name a client can send
 * as a header stands without "HTTP_" in column three. The last column says
 * whether the engine may keep the last value it has seen for the next
 * request (never for secrets). */
#define WEAVE_VARS(X)                                                          \
    X(REQUEST_METHOD, "REQUEST_METHOD", NULL, 1)                               \
    X(SCRIPT_NAME, "SCRIPT_NAME", NULL, 1)                                     \
    X(PATH_INFO, "PATH_INFO", NULL, 1)                                         \
    X(QUERY_STRING, "QUERY_STRING", NULL, 1)                                   \
    X(REQUEST_URI, "REQUEST_URI", NULL, 1)                                     \
    X(REQUEST_SCHEME, "REQUEST_SCHEME", NULL, 1)                               \
    X(SERVER_NAME, "SERVER_NAME", NULL, 1)                                     \
    X(SERVER_PORT, "SERVER_PORT", NULL, 1)                                     \
    X(SERVER_ADDR, "SERVER_ADDR", NULL, 1)                                     \
    X(SERVER_PROTOCOL, "SERVER_PROTOCOL", NULL, 1)                             \
    X(REMOTE_ADDR, "REMOTE_ADDR", NULL, 1)                                     \
    X(REMOTE_HOST, "REMOTE_HOST", NULL, 1)                                     \
    X(REMOTE_PORT, "REMOTE_PORT", NULL, 1)                                     \
    X(REMOTE_USER, "REMOTE_USER", NULL, 1)                                     \
    X(AUTH_TYPE, "AUTH_TYPE", NULL, 1)                                         \
    X(DOCUMENT_ROOT, "DOCUMENT_ROOT", NULL, 1)                                 \
    X(URL_SCHEME, "wsgi.url_scheme", NULL, 1)                                  \
    X(HTTPS, "HTTPS", NULL, 1)                                                 \
    X(CONTENT_TYPE, "CONTENT_TYPE", "Content-Type", 1)                         \
    X(CONTENT_LENGTH, "CONTENT_LENGTH", "Content-Length", 1)                   \
    X(ACCEPT, "HTTP_ACCEPT", "Accept", 1)                                      \
    X(ACCEPT_CHARSET, "HTTP_ACCEPT_CHARSET", "Accept-Charset", 1)              \
    X(ACCEPT_ENCODING, "HTTP_ACCEPT_ENCODING", "Accept-Encoding", 1)           \
    X(ACCEPT_LANGUAGE, "HTTP_ACCEPT_LANGUAGE", "Accept-Language", 1)           \
    X(AUTHORIZATION, "HTTP_AUTHORIZATION", "Authorization", 0)                 \
    X(CACHE_CONTROL, "HTTP_CACHE_CONTROL", "Cache-Control", 1)                 \
    X(CONNECTION, "HTTP_CONNECTION", "Connection", 1)                          \
    X(COOKIE, "HTTP_COOKIE", "Cookie", 0)                                      \
    X(DNT, "HTTP_DNT", "DNT", 1)                                               \
    X(HOST, "HTTP_HOST", "Host", 1)                                            \
    X(IF_MODIFIED_SINCE, "HTTP_IF_MODIFIED_SINCE", "If-Modified-Since", 1)     \
    X(IF_NONE_MATCH, "HTTP_IF_NONE_MATCH", "If-None-Match", 1)                 \
    X(ORIGIN, "HTTP_ORIGIN", "Origin", 1)                                      \
    X(PRAGMA, "HTTP_PRAGMA", "Pragma", 1)                                      \
    X(RANGE, "HTTP_RANGE", "Range", 1)                                         \
    X(REFERER, "HTTP_REFERER", "Referer", 1)                                   \
    X(TE, "HTTP_TE", "TE", 1)                                                  \
    X(TRANSFER_ENCODING, "HTTP_TRANSFER_ENCODING", "Transfer-Encoding", 1)     \
    X(UPGRADE_INSECURE, "HTTP_UPGRADE_INSECURE_REQUESTS",                      \
      "Upgrade-Insecure-Requests", 1)                                          \
    X(USER_AGENT, "HTTP_USER_AGENT", "User-Agent", 1)                          \
    X(VIA, "HTTP_VIA", "Via", 1)                                               \
    X(X_CONFIRM_DELETE, "HTTP_X_CONFIRM_DELETE", "X-Confirm-Delete", 1)        \
    X(X_FORWARDED_FOR, "HTTP_X_FORWARDED_FOR", "X-Forwarded-For", 1)           \
    X(X_FORWARDED_HOST, "HTTP_X_FORWARDED_HOST", "X-Forwarded-Host", 1)        \
    X(X_FORWARDED_PROTO, "HTTP_X_FORWARDED_PROTO", "X-Forwarded-Proto", 1)     \
    X(X_IF_UNMODIFIED_SINCE, "HTTP_X_IF_UNMODIFIED_SINCE",                     \
      "X-If-Unmodified-Since", 1)                                              \
    X(X_REAL_IP, "HTTP_X_REAL_IP", "X-Real-IP", 1)                             \
    X(X_REQUESTED_WITH, "HTTP_X_REQUESTED_WITH", "X-Requested-With", 1)

typedef enum {
#define X(id, name, header, keep) WEAVE_VAR_##id,
    WEAVE_VARS(X)
#undef X
        WEAVE_VAR_COUNT,
    WEAVE_VAR_OTHER = WEAVE_VAR_COUNT /* the name is in the record */
} weave_var_e;

/* One environ entry. A later entry of the same name wins. Bytes become str
 * as ISO-8859-1 (PEP 3333, "Unicode Issues"). */
typedef struct weave_var_t {
    uint32_t key;       /* weave_var_e */
    uint32_t value_len; /* bytes */
    const char *value;
    const char *name; /* NUL-terminated, only for WEAVE_VAR_OTHER */
} weave_var_t;

/* What an application is made of. Every pointer stays valid while the
 * process lives; strings are NUL-terminated UTF-8; lists end with NULL. */
typedef struct weave_app_t {
    const char *python;   /* sys.executable: the virtualenv's bin/python, or
                             NULL for the engine's own Python */
    const char *script;   /* absolute path, or NULL */
    const char *module;   /* dotted name, used when script is NULL */
    const char *callable; /* dotted name inside the script or module */
    const char *ini;      /* environ["weave.ini"] */
    const char *software; /* environ["SERVER_SOFTWARE"] */
    const char *const *python_path;
    const char *const *environ; /* name, value, name, value, ..., NULL */
    int multithread;
    int multiprocess;
    int own_signals; /* 1: the application may install signal handlers */
} weave_app_t;

/* One request. Everything belongs to the host and lives until run()
 * returns. The host gives every one of REQUEST_METHOD, SCRIPT_NAME,
 * PATH_INFO, QUERY_STRING, REQUEST_URI, REQUEST_SCHEME, SERVER_NAME,
 * SERVER_PORT, SERVER_ADDR, SERVER_PROTOCOL, REMOTE_ADDR, REMOTE_PORT,
 * DOCUMENT_ROOT and wsgi.url_scheme, even when it is empty. */
typedef struct weave_request_t {
    void *host; /* first argument of the host's functions */
    const weave_var_t *vars;
    size_t vars_count;
    const char *body; /* what of the body is here already */
    size_t body_len;
    int body_complete;      /* 1: body is all there is */
    int64_t content_length; /* of the body, -1: not known. Only a hint: the end
                               of the body is where body_read() says it */
    int head_only;          /* 1: HEAD */
} weave_request_t;

typedef struct weave_header_t {
    const char *name; /* both NUL-terminated */
    const char *value;
} weave_header_t;

/* The validated head of an answer. The strings live in `arena`, which the
 * host copies as a whole when it keeps them longer than the call. */
typedef struct weave_head_t {
    int status;         /* 200 to 999 */
    const char *reason; /* "200 OK": the whole line as the application said */
    const weave_header_t *headers;
    size_t headers_count;
    int64_t content_length; /* -1: unknown */
    const char *arena;
    size_t arena_len;
} weave_head_t;

/* A piece of a body. With an owner the data stays valid until the host calls
 * release(owner), exactly once; without one, until the call returns. */
typedef struct weave_piece_t {
    const char *data;
    size_t len;
    void *owner;
} weave_piece_t;

#define WEAVE_SEND_FLUSH 1 /* more may take a while: send what there is */
#define WEAVE_SEND_LAST 2  /* the answer is complete */

/* What the host does for the engine. Called without the GIL, on the thread
 * that called run(); they may block. log() is called on any thread. may_start()
 * and forked() are the exceptions: they are called with the GIL, and must never
 * block. None is NULL. */
typedef struct weave_host_t {
    uint32_t abi;
    uint32_t size; /* sizeof(weave_host_t) */
    /* Up to `size` bytes of the request body: their count, 0 at the end, or
     * a weave_io_e. May wait until there is at least one byte. */
    ssize_t (*body_read)(void *host, char *buffer, size_t size);
    /* Takes the head; it leaves with the first piece of the body. */
    void (*head_send)(void *host, const weave_head_t *head);
    weave_io_e (*body_send)(void *host, const weave_piece_t *pieces,
                            size_t count, int flags);
    /* A regular file's bytes. The descriptor is borrowed: the host duplicates
     * what it keeps. */
    weave_io_e (*file_send)(void *host, int fd, int64_t offset, int64_t length,
                            int flags);
    /* One line, UTF-8, without its newline, not NUL-terminated. `host` is
     * NULL outside a request. */
    void (*log)(void *host, int level, const char *text, size_t len);
    /* The last question before the application is called: 1: go on; 0: do
     * not, and run() returns WEAVE_RUN_HELD. With the GIL: a load and a
     * comparison, no lock, no system call. */
    int (*may_start)(void *host);
    /* Python has forked (os.fork(), multiprocessing), and this is the new
     * process: with the GIL, on its only thread, before any code of the
     * application's. Programs that it starts otherwise never come here. */
    void (*forked)(void);
} weave_host_t;

/* How a request ended. */
typedef enum {
    WEAVE_RUN_DONE = 0,  /* the answer was given whole */
    WEAVE_RUN_CUT = -1,  /* the head is out, the rest will not come: the
                            connection must not look like a good answer */
    WEAVE_RUN_GONE = -2, /* the client went away */
    WEAVE_RUN_HELD = -3  /* may_start() said no: the application was not called,
                            nothing was sent, and the same weave_request_t may
                            be run again */
    /* > 0: nothing was sent; answer with this HTTP status */
} weave_run_e;

typedef struct weave_engine_t {
    uint32_t magic;
    uint32_t abi;
    uint32_t size;          /* sizeof(weave_engine_t) */
    uint32_t python_hex;    /* PY_VERSION_HEX it was compiled with */
    const char *python;     /* "3.11" */
    const char *executable; /* the Python it was built for */
    /* The version of libpython that is loaded now, "3.11.2 (main, ...". Needs
     * no interpreter. */
    const char *(*runtime_version)(void);
    /* Makes the interpreter. NULL, or what went wrong (static storage).
     * Everything logged goes to host->log(NULL, ...). */
    const char *(*start)(const weave_app_t *app, const weave_host_t *host);
    /* Imports the application. NULL, or after logging the traceback the line
     * of it that names the error (static storage, the application's text). */
    const char *(*load)(void);
    int (*run)(const weave_request_t *request);
    /* Gives back the owner of a piece. Never blocks, never takes the GIL. */
    void (*release)(void *owner);
    /* Runs what Python runs at its end (non-daemon threads, atexit), then
     * takes the GIL and keeps it for ever, so that no thread enters Python
     * any more. There is no way back; the process is about to end. */
    void (*finish)(void);
    /* 1 while the calling thread is inside run(). Async-signal-safe. */
    int (*is_running)(void);
    /* Python's main thread waits here until FD can be read or is at its end,
     * or a signal handler raises SystemExit; meanwhile it runs the signal
     * handlers that the application installs. */
    void (*wait)(int fd);
    /* From now on `signum` writes the stacks of all Python threads to
     * descriptor 2, whatever thread it hits, also while C code keeps the GIL.
     * 0, or -1 after logging why not. */
    int (*stacks_on)(int signum);
} weave_engine_t;

/* NULL, or why ENGINE, which was found in PATH, must not be used for the
 * Python WANTED ("3.11"; NULL: whichever). Static storage. */
static inline const char *weave_engine_mismatch(const weave_engine_t *engine,
                                                const char *path,
                                                const char *wanted)
{
    static char text[512];

    if (engine->magic != WEAVE_ENGINE_MAGIC ||
        engine->abi != WEAVE_ENGINE_ABI || engine->size != sizeof(*engine))
        snprintf(text, sizeof(text),
                 "%s belongs to another version of mod_weave: install"
                 " everything of it together (`make install`) and restart"
                 " httpd",
                 path);
    else if (wanted && strcmp(wanted, engine->python) != 0)
        snprintf(text, sizeof(text), "%s is an engine for Python %s, not %s",
                 path, engine->python, wanted);
    else if (strncmp(engine->runtime_version(), engine->python,
                     strlen(engine->python)) != 0)
        snprintf(text, sizeof(text),
                 "%s was built for Python %s, but the libpython that was"
                 " loaded is %s",
                 path, engine->python, engine->runtime_version());
    else
        return NULL;
    return text;
}

#endif
