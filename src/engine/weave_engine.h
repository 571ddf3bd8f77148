/* SPDX-License-Identifier: Apache-2.0 */
/* weave_engine.h: the records of functions by which a Python engine and its
 * host call each other.
 *
 * An engine is one shared object per Python version (weave-engine-3.11.so).
 * It knows WSGI and nothing of httpd, APR or sockets; a host (an httpd child
 * in embedded mode, or weave-worker) knows nothing of Python. Each side
 * hands the other one versioned record. No errno, apr_status_t or PyObject
 * crosses this line.
 *
 * Threads: one thread, Python's main thread, calls start(), load() and
 * finish(), in this order, and after start() also stacks_on() and wait(). It
 * calls load() again after a load() that failed, and run() may be called only
 * after one that succeeded. Any thread may call run() and release(). A signal
 * handler may call is_running() and nothing else.
 */
#ifndef WEAVE_ENGINE_H
#define WEAVE_ENGINE_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/types.h>

/* Raised whenever a struct below changes in any way. */
#define WEAVE_ENGINE_ABI 8
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

/* Says how an exchange with the client ended early. The values are negative,
 * so that body_read() can return either one of them or a count of bytes. */
typedef enum {
    WEAVE_IO_OK = 0,
    WEAVE_IO_GONE = -1,      /* the client closed the connection */
    WEAVE_IO_TOO_LARGE = -2, /* over LimitRequestBody: 413 */
    WEAVE_IO_TIMEOUT = -3,   /* the client was too slow: 408 */
    WEAVE_IO_BAD = -4        /* malformed body: 400 */
} weave_io_e;

/* The environ keys that both sides know by number: the constant, the key, the
 * request header whose value it holds (NULL: none), and 1 if the engine may
 * keep a value for later requests (never for secrets). */
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
    WEAVE_VAR_OTHER = WEAVE_VAR_COUNT /* weave_var_t.name is the key */
} weave_var_e;

/* One environ entry. When two entries have the same name, the later one wins.
 * The engine decodes bytes as ISO-8859-1 (PEP 3333, "Unicode Issues"). */
typedef struct weave_var_t {
    uint32_t key;       /* weave_var_e */
    uint32_t value_len; /* bytes */
    const char *value;
    const char *name; /* NUL-terminated, only for WEAVE_VAR_OTHER */
} weave_var_t;

/* Describes the application that the process serves. The host owns it, and
 * every pointer stays valid while the process lives. Strings are
 * NUL-terminated UTF-8; lists end with NULL. */
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

/* One request. The host owns all of it and keeps it until run() returns. The
 * host sets every one of REQUEST_METHOD, SCRIPT_NAME, PATH_INFO, QUERY_STRING,
 * REQUEST_URI, REQUEST_SCHEME, SERVER_NAME, SERVER_PORT, SERVER_ADDR,
 * SERVER_PROTOCOL, REMOTE_ADDR, REMOTE_PORT, DOCUMENT_ROOT and wsgi.url_scheme,
 * also when the value is empty. */
typedef struct weave_request_t {
    void *host; /* the engine passes it to the host's functions */
    const weave_var_t *vars;
    size_t vars_count;
    const char *body; /* the part of the body that has arrived already */
    size_t body_len;
    int body_complete;      /* 1: `body` is the whole body */
    int64_t content_length; /* bytes of the body, -1: not known. Only a hint:
                               body_read() returns 0 where the body ends */
    int head_only;          /* 1: HEAD */
} weave_request_t;

typedef struct weave_header_t {
    const char *name; /* NUL-terminated, as is the value */
    const char *value;
} weave_header_t;

/* The head of an answer, which the engine has checked. The engine owns it; all
 * strings lie in `arena`. A host that needs them after the call copies the
 * arena as a whole. */
typedef struct weave_head_t {
    int status;         /* 200 to 999 */
    const char *reason; /* the whole status as the application gave it:
                           "200 OK" */
    const weave_header_t *headers;
    size_t headers_count;
    int64_t content_length; /* -1: unknown */
    const char *arena;
    size_t arena_len;
} weave_head_t;

/* A piece of a body. If it has an owner, the data stays valid until the host
 * calls release(owner), which it must do exactly once. Otherwise the data is
 * valid until the call returns. */
typedef struct weave_piece_t {
    const char *data;
    size_t len;
    void *owner;
} weave_piece_t;

#define WEAVE_SEND_FLUSH 1 /* send it at once: more may come much later */
#define WEAVE_SEND_LAST 2  /* the answer is complete */

/* The functions of the host that the engine calls without the GIL: they may
 * block. It calls all but log() on the thread that has called run(), log() on
 * any thread. forked() is different: it is called with the GIL, must not block,
 * and may be NULL. */
typedef struct weave_host_t {
    uint32_t abi;
    uint32_t size; /* sizeof(weave_host_t) */
    /* Reads up to `size` bytes of the request body. Returns their count, 0 at
     * the end of the body, or a weave_io_e. It may wait for the first byte. */
    ssize_t (*body_read)(void *host, char *buffer, size_t size);
    /* Takes the head of the answer, and sends it together with the first piece
     * of the body. Called once, before body_send() and file_send(). */
    void (*head_send)(void *host, const weave_head_t *head);
    /* Sends pieces of the body. `flags` are WEAVE_SEND_*. */
    weave_io_e (*body_send)(void *host, const weave_piece_t *pieces,
                            size_t count, int flags);
    /* Sends bytes of a regular file. `fd` is valid until the call returns: a
     * host that needs it longer duplicates it. */
    weave_io_e (*file_send)(void *host, int fd, int64_t offset, int64_t length);
    /* Logs one line of UTF-8 without its newline; it is not NUL-terminated.
     * `level` is a weave_log_e; `host` is NULL outside a request. */
    void (*log)(void *host, int level, const char *text, size_t len);
    /* Prepares a process that Python has forked (os.fork(), multiprocessing).
     * Called in the new process, on its only thread, before any code of the
     * application runs there. Not called for programs that subprocess or
     * posix_spawn() start. */
    void (*forked)(void);
    /* Called with the GIL, right before the application has the request. INSIDE
     * requests of other threads are in the application then. None of them has
     * the GIL: each waits for something, or for the GIL itself, which Python
     * has taken from it (sys.setswitchinterval()). It must not wait.
     * NULL: the host does not want to know. */
    void (*python_entered)(void *host, int inside);
} weave_host_t;

/* Says how a request ended. */
typedef enum {
    WEAVE_RUN_DONE = 0, /* the host has the whole answer */
    WEAVE_RUN_CUT = -1, /* the answer has begun and cannot be completed: the
                           host must end the connection in a way that the
                           client notices */
    WEAVE_RUN_GONE = -2 /* the client went away */
    /* > 0: nothing was sent, and the host answers with this HTTP status */
} weave_run_e;

typedef struct weave_engine_t {
    uint32_t magic;
    uint32_t abi;
    uint32_t size;          /* sizeof(weave_engine_t) */
    const char *python;     /* "3.11" */
    const char *executable; /* the Python it was built for */
    /* Returns the version of the libpython that is loaded now, such as
     * "3.11.2 (main, ...", in static storage. May be called before start(). */
    const char *(*runtime_version)(void);
    /* Starts the interpreter. Both records must stay valid while the process
     * lives. Returns NULL, or a text in static storage that says what failed.
     * All that is logged meanwhile goes to host->log(NULL, ...). */
    const char *(*start)(const weave_app_t *app, const weave_host_t *host);
    /* Imports the application. Returns NULL; or logs the traceback and returns
     * its line that names the error, in static storage. The line is text of
     * the application: escape it where that matters. */
    const char *(*load)(void);
    /* Answers one request. Returns a weave_run_e or an HTTP status. */
    int (*run)(const weave_request_t *request);
    /* Releases the owner of a piece. Never blocks, never takes the GIL. */
    void (*release)(void *owner);
    /* Waits for Python's non-daemon threads (with a deadline), runs the atexit
     * handlers, and keeps the GIL for ever, so that no thread enters Python any
     * more. The process must end afterwards. */
    void (*finish)(void);
    /* Returns 1 while the calling thread is inside run(). Async-signal-safe. */
    int (*is_running)(void);
    /* Waits, on Python's main thread, until `fd` can be read or is at its end,
     * or until a signal handler raises SystemExit. Meanwhile it runs the
     * signal handlers that the application has installed. */
    void (*wait)(int fd);
    /* Makes the signal `signum` write the stacks of all Python threads to the
     * descriptor `fd`, whichever thread receives it, also while C code holds
     * the GIL; and so does a crash, before its signal has the action that it
     * had before. Returns 0; or logs why it failed and returns -1. */
    int (*stacks_on)(int signum, int fd);
} weave_engine_t;

/* Checks that the engine found in `path` fits this host and the Python `wanted`
 * ("3.11"; NULL: any). Returns NULL, or a text in static storage that says why
 * it must not be used. One thread at a time. */
static inline const char *weave_engine_mismatch(const weave_engine_t *engine,
                                                const char *path,
                                                const char *wanted)
{
    static char text[512];

    if (engine->magic != WEAVE_ENGINE_MAGIC ||
        engine->abi != WEAVE_ENGINE_ABI || engine->size != sizeof(*engine))
        snprintf(text, sizeof(text),
                 "%s belongs to another version of mod_weave: install"
                 " all parts of it together (`make install`) and restart"
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
