/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOD_WEAVE_RETAIN_H
#define MOD_WEAVE_RETAIN_H

#include <apr_hash.h>

#include "mod_weave.h"

/* retain.c: what is kept across restarts, plain data */
#define MOD_WEAVE_RETAINED_VERSION 14

typedef struct mod_weave_retained_app_t {
    char *ini;               /* malloc: its name; its index is its slot */
    mod_weave_hidden_t text; /* what was good last, flat; none: nothing yet */
    mod_weave_hidden_t spec; /* the same for weaved; none: embedded */
    weave_secret_t secret;   /* as long as `ini` has this slot */
    int embedded;
    int wanted; /* weaved is to run `spec`, by the configuration read last */
} mod_weave_retained_app_t;

typedef struct mod_weave_retained_t {
    apr_uint32_t version;
    /* weaved, and what it shares with httpd; only the parent has these */
    pid_t owner;      /* the parent */
    uid_t starter;    /* its user: weaved listens as that one */
    pid_t supervisor; /* pid of weaved; 0: none */
    int64_t started;
    int64_t next_try; /* of one that keeps dying; 0: now */
    int failures;
    int ready; /* it writes there why it cannot start; -1: there is none */
    int lifeline[2];
    int roster_fd; /* for reading only; closed in the children */
    struct weave_control_t
        *control;                 /* to weaved; malloc; NULL: there is none */
    apr_uint32_t asked, answered; /* the numbers of requests there */
    int64_t asked_us; /* when the first one that is not answered was sent, or
                         weaved last answered; 0: all are answered */
    int unsent;       /* 1: there was no room for one of them */
    weave_roster_t *roster;     /* read-only mapping, inherited */
    char *runtime_dir;          /* malloc: that weaved runs with */
    weave_counters_t *counters; /* for writing, inherited */
    int counters_fd;            /* keeps the lock; -1: nobody sees them */
    char *counters_dir;         /* malloc: the folder that they are in */
    weave_known_t known; /* what weavectl has said, as the parent knows it */
    char *known_dir;     /* malloc: the folder of that, which all go by */
    apr_hash_t *sinces;  /* in a pool of its own: see switch.c */
    mod_weave_retained_app_t apps[WEAVE_ROSTER_APPS];
} mod_weave_retained_t;

/* NULL: it is another version of mod_weave that keeps it. */
mod_weave_retained_t *mod_weave_retained_get(void);
/* A configuration is about to be read: nobody asks for a slot yet. */
void mod_weave_retained_unask(void);
/* Where INI has a slot, nobody else gets it in this configuration. */
void mod_weave_retained_ask(const char *ini);
/* The slot of INI, from now on; -1: there are too many. */
int mod_weave_retained_slot(const char *ini);
/* APPS are good; of those not in ALL there is no need to keep a slot. */
void mod_weave_retain(const apr_array_header_t *apps,
                      const apr_array_header_t *all);
int mod_weave_is_running(void); /* a restart rather than a first start */
int mod_weave_retained_is_embedded(const char *ini);
/* The text that was good last for the application of INI, as a file that the
 * user UID can open, and the caller's to close; -1: there is none. */
int mod_weave_retained_text(const char *ini, apr_uid_t uid);
/* The roster: read-only, in parent and children; NULL: there are no worker
 * processes. */
const weave_roster_t *mod_weave_roster(void);

#endif
