/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEAVE_SECRET_H
#define WEAVE_SECRET_H

/**
 * The secret of an application: what httpd's children and weaved show to its
 * workers, and nobody else can. Other processes of the same user may connect,
 * but have not got it.
 *
 * httpd's parent makes it and keeps it over restarts. It goes to weaved and
 * from there to each worker through a descriptor; it is in no argument, no
 * environment, no file and no log.
 */

#include <apr_errno.h>

#define WEAVE_SECRET_BYTES 32

typedef struct weave_secret_t {
    unsigned char bytes[WEAVE_SECRET_BYTES];
} weave_secret_t;

/** In hexadecimal digits, as control messages have it, with its NUL. */
#define WEAVE_SECRET_TEXT (2 * WEAVE_SECRET_BYTES + 1)

/** A new one, of the kernel's random numbers. */
apr_status_t weave_secret_make(weave_secret_t *secret);

void weave_secret_format(char text[WEAVE_SECRET_TEXT],
                         const weave_secret_t *secret);
/** 0; -1: TEXT (NULL: none) is no secret, and nothing is set. */
int weave_secret_parse(weave_secret_t *secret, const char *text);

/** Compares in a time that says nothing about the bytes. 1: they are equal. */
int weave_secret_is_same(const weave_secret_t *one,
                         const weave_secret_t *other);

#endif
