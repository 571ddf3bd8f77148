/* SPDX-License-Identifier: Apache-2.0 */
/* ctl.h: what the commands of weavectl share */
#ifndef CTL_H
#define CTL_H

#include <apr_pools.h>
#include <jansson.h>

/* Exit statuses, as --help has them. */
enum { CTL_DONE = 0, CTL_FAILED = 1, CTL_USAGE = 2 };

#define CTL_ASK_MS 10000

typedef struct ctl_t {
    apr_pool_t *pool;
    const char *ini;       /* -i, resolved where it exists; or see view.h */
    const char *ini_real;  /* the same, and nothing else */
    const char *ini_named; /* as it was given, absolute */
    int ini_given;         /* 1: with -i, or as an argument */
    const char *dir;       /* -d: the runtime directory */
    int dir_given;         /* 1: with -d, or by the environment */
    const char *socket;    /* of weaved in it */
    const char *state_dir; /* -s, or by the environment; NULL: neither */
    const char *libdir;    /* where the engines are */
    int json, no_wait;
    const char *topic; /* of help; NULL: not given */
    /* of maintenance; NULL: not given */
    const char *mode, *lasts, *retry_after, *message, *wait;
} ctl_t;

/* Each returns an exit status. */
int ctl_reload(const ctl_t *given);
int ctl_status(const ctl_t *given);
int ctl_maintenance(const ctl_t *ctl);
int ctl_config(const ctl_t *ctl);
int ctl_check(const ctl_t *ctl);

/* Says for which mistakes in INI itself configtest would refuse it; an exit
 * status. */
int ctl_ini_check(const char *ini, apr_pool_t *pool);

/* Returns why this user cannot do what only root and the user that starts httpd
 * may, or NULL: this is one of them, as far as the folders of CTL tell. */
const char *ctl_rights_why_not(const ctl_t *ctl);

/* DIR is the folder of the weaved that is meant. */
void ctl_dir_set(ctl_t *ctl, const char *dir);
/* Asks weaved; REQUEST is given away. NULL after saying why not. */
json_t *ctl_ask(const ctl_t *ctl, json_t *request);
/* The same, with *PROBLEM instead of saying it. */
json_t *ctl_ask_quietly(const ctl_t *ctl, json_t *request,
                        const char **problem);

/* --- what is printed (say.c): control characters are escaped, also \n -------
 */

#define CTL_PRINTF __attribute__((format(printf, 1, 2)))
/* A part of a line, and the rest of one, to standard output. */
void ctl_put(const char *format, ...) CTL_PRINTF;
void ctl_line(const char *format, ...) CTL_PRINTF;
/* How many columns TEXT takes there; and TEXT with blanks up to WIDTH, and two
 * more. */
int ctl_columns(const char *text);
void ctl_cell(const char *text, int width);
/* The rest is for standard error. One line. */
void ctl_error(const char *format, ...) CTL_PRINTF;
/* One line of trouble. Returns CTL_FAILED. */
int ctl_say(const char *format, ...) CTL_PRINTF;
/* The same for what is no failure: something to know, something to check. */
void ctl_warn(const char *format, ...) CTL_PRINTF;
void ctl_note(const char *format, ...) CTL_PRINTF;
/* Says what is wrong with the command line. Returns CTL_USAGE. */
int ctl_usage(const char *format, ...) CTL_PRINTF;
/* The same, as APR's getopt says it: with a line feed at the end. */
void ctl_option_error(void *unused, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* Replaces the line that stands on the terminal, which must be one. */
void ctl_progress(const char *format, ...) CTL_PRINTF;
/* JSON for programs, to standard output. FLAGS: jansson's, beside an indent. */
void ctl_json_print(const json_t *json, size_t flags);

/* --- what answers have --------------------------------------------------- */

/* An integer, string or list of an object, or 0, "", an empty list. */
json_int_t ctl_int(const json_t *object, const char *key);
const char *ctl_text(const json_t *object, const char *key);
const json_t *ctl_list(const json_t *object, const char *key);
/* "5 min", rounded down. */
const char *ctl_duration(const ctl_t *ctl, apr_int64_t seconds);

#endif
