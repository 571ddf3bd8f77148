/* SPDX-License-Identifier: Apache-2.0 */
/* weave_report.c: makes and reads the reports of a worker to weaved */
#include "weave_report.h"

#include <string.h>

#include "weave_utf8.h"

static const struct {
    const char *op, *field;
} kinds[WEAVE_REPORT_KINDS] = {
    [WEAVE_REPORT_READY] = {"ready", "python"},
    [WEAVE_REPORT_FAILED] = {"failed", "error"},
    [WEAVE_REPORT_RECYCLE] = {"recycle", "why"},
    [WEAVE_REPORT_STUCK] = {"stuck", "why"},
    [WEAVE_REPORT_LOG] = {"log", NULL},
};

#define OTHER_VERSION                                                          \
    "it is of another version of mod_weave: stop httpd and start it again"

/* Copies whole characters of TEXT into TO, which has room for
 * WEAVE_REPORT_TEXT_BYTES. */
static void text_copy(char *to, const char *text)
{
    const char *end = text + strlen(text);
    size_t len = 0;

    while (text < end) {
        int bytes = weave_utf8_next(text, end, NULL);
        size_t part = bytes ? (size_t)bytes : 1;

        if (len + part >= WEAVE_REPORT_TEXT_BYTES)
            break;
        if (bytes)
            memcpy(to + len, text, part);
        else
            to[len] = '?';
        len += part;
        text += part;
    }
    to[len] = '\0';
}

static int is_of_this_version(const json_t *message)
{
    const json_t *version = json_object_get(message, "version");

    return json_is_integer(version) &&
           json_integer_value(version) == WEAVE_REPORT_VERSION;
}

int weave_report_read(weave_report_t *report, const json_t *message)
{
    const char *op = json_string_value(json_object_get(message, "op"));
    int kind;

    for (kind = 0; op && kind < WEAVE_REPORT_KINDS; kind++)
        if (!strcmp(op, kinds[kind].op)) {
            const char *text =
                json_string_value(json_object_get(message, kinds[kind].field));

            report->kind = (weave_report_e)kind;
            if (kind == WEAVE_REPORT_READY && !is_of_this_version(message)) {
                report->kind = WEAVE_REPORT_FAILED;
                text = OTHER_VERSION;
            }
            text_copy(report->text, text ? text : "");
            return 0;
        }
    return -1;
}

json_t *weave_report_make(weave_report_e kind, const char *text)
{
    char cut[WEAVE_REPORT_TEXT_BYTES];

    if (!kinds[kind].field)
        return json_pack("{s:s}", "op", kinds[kind].op);
    text_copy(cut, text ? text : "");
    if (kind == WEAVE_REPORT_READY)
        return json_pack("{s:s, s:s, s:i}", "op", kinds[kind].op,
                         kinds[kind].field, cut, "version",
                         WEAVE_REPORT_VERSION);
    return json_pack("{s:s, s:s}", "op", kinds[kind].op, kinds[kind].field,
                     cut);
}
