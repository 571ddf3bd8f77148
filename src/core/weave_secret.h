/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEAVE_SECRET_H
#define WEAVE_SECRET_H

/**
 * The secret of an application, which proves to its workers that httpd's
 * children and weaved are not other processes of the same user. httpd's parent
 * makes it, keeps it over restarts, and sends it to weaved, and weaved to each
 * worker, through a descriptor; it is in no argument, environment, file or log.
 */

#include <apr_errno.h>

#define WEAVE_SECRET_BYTES 32

typedef struct weave_secret_t {
    unsigned char bytes[WEAVE_SECRET_BYTES];
} weave_secret_t;

/** The bytes of its hexadecimal text, as in control messages, with the NUL. */
#define WEAVE_SECRET_TEXT (2 * WEAVE_SECRET_BYTES + 1)

/** Makes a new secret from the kernel's random numbers. */
apr_status_t weave_secret_make(weave_secret_t *secret);

/** Writes its hexadecimal text. */
void weave_secret_format(char text[WEAVE_SECRET_TEXT],
                         const weave_secret_t *secret);
/** Reads such a text. Returns 0; or -1 when TEXT (may be NULL) is no secret,
 *  and *secret is unchanged. */
int weave_secret_parse(weave_secret_t *secret, const char *text);

/** Returns 1 when both are equal. The time that it takes does not depend on the
 *  bytes. */
int weave_secret_is_same(const weave_secret_t *one,
                         const weave_secret_t *other);

#endif
