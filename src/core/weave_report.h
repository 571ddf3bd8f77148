/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEAVE_REPORT_H
#define WEAVE_REPORT_H

/**
 * Reads the reports of a worker to weaved on its control channel
 * (weave_control.h):
 *
 *   {"op":"ready","python":VERSION}
 *   {"op":"failed","error":TEXT}     the application cannot be imported, or
 *                                    Python does not start; it exits next
 *   {"op":"recycle","why":TEXT}      replace me: successor first
 *   {"op":"stuck","why":TEXT}        the same; and a request is over its time
 *
 *   {"op":"log"} + descriptor        an end to read what it writes to 1 and 2,
 *                                    for a weaved that has not started it
 *
 * A worker has little to say, and weaved does not trust it: both its lines and
 * their number are bounded here.
 */

#include <stddef.h>

#include <jansson.h>

/** The longest line that weaved reads of a worker. */
#define WEAVE_REPORT_LINE_MAX 16384u
/** How many reports weaved reads on one connection: an honest worker has one
 *  of each kind. */
#define WEAVE_REPORTS_MAX 16
/** Bytes of the text, with its NUL; a longer one is cut. Escaped, it fits into
 *  a line. */
#define WEAVE_REPORT_TEXT_BYTES 2048

typedef enum weave_report_e {
    WEAVE_REPORT_READY,
    WEAVE_REPORT_FAILED,
    WEAVE_REPORT_RECYCLE,
    WEAVE_REPORT_STUCK,
    WEAVE_REPORT_LOG,
    WEAVE_REPORT_KINDS /* how many there are */
} weave_report_e;

typedef struct weave_report_t {
    weave_report_e kind;
    char text[WEAVE_REPORT_TEXT_BYTES]; /* UTF-8; empty: it gives none */
} weave_report_t;

/** Fills *report from MESSAGE. 0, or -1: it is no report. */
int weave_report_read(weave_report_t *report, const json_t *message);

/** The message for a report; TEXT (NULL: none) is cut, and what is no UTF-8 in
 *  it becomes '?'. The caller's; NULL: no memory. */
json_t *weave_report_make(weave_report_e kind, const char *text);

#endif
