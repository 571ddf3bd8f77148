/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEAVE_UTF8_H
#define WEAVE_UTF8_H

/** UTF-8 and white space as Python's str sees them; any thread. */

#include <apr_pools.h>

/**
 * The bytes that the character at P takes, 0 where there is none: overlong,
 * a surrogate, over U+10FFFF, cut off by END. CODE may be NULL. P < END.
 */
int weave_utf8_next(const char *p, const char *end, apr_uint32_t *code);

/** Is all of it UTF-8, without NUL? */
int weave_utf8_is_text(const char *p, const char *end);

/** Is all of TEXT UTF-8 on one line, without control characters? So it may go
 *  to terminals, logs and pages. */
int weave_utf8_is_sentence(const char *text);

/** Writes the character at *TEXT to TO, which has room for 4 bytes, as a
 *  terminal or a log may show it, and moves *TEXT behind it. A control
 *  character (of C1, too), and a byte that is no UTF-8, becomes "\\x1b" or the
 * like. Returns how many bytes there are. *TEXT < END. */
apr_size_t weave_utf8_escape(char *to, const char **text, const char *end);

/** TEXT as weave_utf8_escape() shows it, in POOL. */
const char *weave_utf8_escape_text(const char *text, apr_pool_t *pool);

/** How many bytes of TEXT, MOST or less, end between two characters. */
apr_size_t weave_utf8_cut(const char *text, apr_size_t most);

/** str.isspace() of one character. */
int weave_utf8_is_space(apr_uint32_t code);

/** Moves P behind leading white space; returns how many characters that was.
 *  The text must be valid. */
apr_size_t weave_utf8_lstrip(const char **p, const char *end);

/** Returns the END of the text without white space at its end. */
const char *weave_utf8_rstrip(const char *p, const char *end);

#endif
