/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEAVE_REPORT_H
#define WEAVE_REPORT_H

/**
 * Makes and reads the reports that a worker sends to weaved on its control
 * channel (weave_control.h):
 *
 *   {"op":"ready","python":VERSION,"version":WEAVE_REPORT_VERSION}
 *   {"op":"failed","error":TEXT}     the application cannot be imported, or
 *                                    Python does not start; it exits next
 *   {"op":"recycle","why":TEXT}      replace me: successor first
 *   {"op":"stuck","why":TEXT}        the same; and a request is over its time
 *
 *   {"op":"log"} + descriptor        an end to read what it writes to 1 and 2,
 *                                    for a weaved that has not started it
 *
 * weaved does not trust a worker, so the length of its reports and their number
 * have bounds.
 */

#include <stddef.h>

#include <jansson.h>

/** Raise it with every change: a worker may be older than the weaved that takes
 *  it over, or newer than the one that starts it. */
#define WEAVE_REPORT_VERSION 1

/** The longest line that weaved reads of a worker. */
#define WEAVE_REPORT_LINE_MAX 16384u
/** The most reports that weaved reads on one connection. An honest worker sends
 *  one of each kind. */
#define WEAVE_REPORTS_MAX 16
/** The most bytes of the text, with its NUL; a longer one is cut. It fits into
 *  a line also when it is escaped. */
#define WEAVE_REPORT_TEXT_BYTES 2048

typedef enum weave_report_e {
    WEAVE_REPORT_READY,
    WEAVE_REPORT_FAILED,
    WEAVE_REPORT_RECYCLE,
    WEAVE_REPORT_STUCK,
    WEAVE_REPORT_LOG,
    WEAVE_REPORT_KINDS /* the number of kinds */
} weave_report_e;

typedef struct weave_report_t {
    weave_report_e kind;
    char text[WEAVE_REPORT_TEXT_BYTES]; /* UTF-8; may be empty */
} weave_report_t;

/** Fills *report from MESSAGE. Returns 0, or -1 when it is no report. */
int weave_report_read(weave_report_t *report, const json_t *message);

/** Returns the message for a report, which the caller owns; NULL: no memory.
 *  TEXT (NULL: none) is cut, and bytes that are no UTF-8 become '?'. */
json_t *weave_report_make(weave_report_e kind, const char *text);

#endif
