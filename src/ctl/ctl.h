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
    /* of maintenance; NULL: not given */
    const char *mode, *lasts, *retry_after, *message, *wait;
} ctl_t;

/* Each returns an exit status. */
int ctl_reload(const ctl_t *given);
int ctl_status(const ctl_t *given);
int ctl_maintenance(const ctl_t *ctl);
int ctl_config(const ctl_t *ctl);
int ctl_check(const ctl_t *ctl);

/* DIR is the folder of the weaved that is meant. */
void ctl_dir_set(ctl_t *ctl, const char *dir);
/* Asks weaved; REQUEST is given away. NULL after saying why not. */
json_t *ctl_ask(const ctl_t *ctl, json_t *request);
/* The same, with *PROBLEM instead of saying it. */
json_t *ctl_ask_quietly(const ctl_t *ctl, json_t *request,
                        const char **problem);
/* One line of trouble, to standard error. Returns CTL_FAILED. */
int ctl_say(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* The same for what is no failure: something to know, something to check. */
void ctl_warn(const char *format, ...) __attribute__((format(printf, 1, 2)));
void ctl_note(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* An integer, string or list of an object, or 0, "", an empty list. */
json_int_t ctl_int(const json_t *object, const char *key);
const char *ctl_text(const json_t *object, const char *key);
const json_t *ctl_list(const json_t *object, const char *key);
/* "5 min", rounded down. */
const char *ctl_duration(const ctl_t *ctl, apr_int64_t seconds);

#endif
