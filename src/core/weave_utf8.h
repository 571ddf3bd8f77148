/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEAVE_UTF8_H
#define WEAVE_UTF8_H

/** Reads UTF-8, and white space as Python's str defines it. Any thread. */

#include <apr_pools.h>

/** Returns the number of bytes of the character at P and sets *code (CODE may
 *  be NULL). Returns 0 when it is no character: overlong, a surrogate, over
 *  U+10FFFF, or cut off by END. P must be less than END. */
int weave_utf8_next(const char *p, const char *end, apr_uint32_t *code);

/** Returns 1 when all of the text is UTF-8, without NUL. */
int weave_utf8_is_text(const char *p, const char *end);

/** Returns 1 when TEXT is UTF-8 on one line, without control characters: then
 *  it may be shown in terminals, logs and pages. */
int weave_utf8_is_sentence(const char *text);

/** Writes the character at *text to TO, which has room for 4 bytes, as a
 *  terminal or a log may show it, and moves *text to the next one. A control
 *  character (of C1, too), and a byte that is no UTF-8, becomes "\\x1b" or the
 *  like. Returns the number of bytes written. *text must be less than END. */
apr_size_t weave_utf8_escape(char *to, const char **text, const char *end);

/** Returns TEXT with all characters escaped by weave_utf8_escape(), in POOL. */
const char *weave_utf8_escape_text(const char *text, apr_pool_t *pool);

/** Returns the length of TEXT, or of its longest beginning of whole characters
 *  that has at most MOST bytes. */
apr_size_t weave_utf8_cut(const char *text, apr_size_t most);

/** Moves *p past leading white space, and returns the number of its characters.
 *  The text must be UTF-8. */
apr_size_t weave_utf8_lstrip(const char **p, const char *end);

/** Returns the end of the text without the white space at its end. */
const char *weave_utf8_rstrip(const char *p, const char *end);

#endif
