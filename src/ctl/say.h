/* SPDX-License-Identifier: Apache-2.0 */
/* say.h: everything that weavectl prints
 *
 * Texts may come from applications, paths and files of others, and root's
 * terminal shows them: each control character is escaped, also a line feed. */
#ifndef CTL_SAY_H
#define CTL_SAY_H

#include <stdint.h>

#include <apr_pools.h>
#include <jansson.h>

#include "ctl.h"

#define CTL_PRINTF __attribute__((format(printf, 1, 2)))

/* --- to standard output -------------------------------------------------- */

/* Prints a part of a line, and the rest of a line. */
void ctl_put(const char *format, ...) CTL_PRINTF;
void ctl_line(const char *format, ...) CTL_PRINTF;
/* Returns how many columns TEXT takes when it is printed. */
int ctl_columns(const char *text);
/* Prints TEXT, blanks up to WIDTH columns, and two more. */
void ctl_cell(const char *text, int width);
/* Prints JSON for programs. FLAGS are jansson's, beside an indent. */
void ctl_json_print(const json_t *json, size_t flags);

/* --- to standard error --------------------------------------------------- */

/* Prints a line as it is. */
void ctl_error(const char *format, ...) CTL_PRINTF;
/* Prints a line with the name of the program. Returns CTL_FAILED. */
int ctl_say(const char *format, ...) CTL_PRINTF;
/* Does the same about the value of an option. Returns CTL_USAGE. */
int ctl_refuse(const char *format, ...) CTL_PRINTF;
/* Does the same, and names --help. Returns CTL_USAGE. */
int ctl_usage(const char *format, ...) CTL_PRINTF;
/* Prints a text of APR's getopt, which ends with a line feed. */
void ctl_option_error(void *unused, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* Replaces the last line on the terminal; standard error must be one. */
void ctl_progress(const char *format, ...) CTL_PRINTF;

/* --- parts of sentences -------------------------------------------------- */

/* Returns "5 min", rounded down. */
const char *ctl_duration(int64_t seconds, apr_pool_t *pool);
/* Returns "15:32:11", with the date when that is another day. */
const char *ctl_clock(int64_t time_us, apr_pool_t *pool);

#endif
