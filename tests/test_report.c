/* SPDX-License-Identifier: Apache-2.0 */
/* test_report.c: what a worker reports to weaved */

#include "conf_support.h"

#include "weave_report.h"

static int read_of(weave_report_t *report, const char *text)
{
    json_t *message = json_loads(text, 0, NULL);
    int rc;

    assert_non_null(message);
    rc = weave_report_read(report, message);
    json_decref(message);
    return rc;
}

static void reads_each_kind(void **state)
{
    char ready[80];
    weave_report_t report;

    (void)state;
    snprintf(ready, sizeof(ready),
             "{\"op\":\"ready\",\"python\":\"3.11\",\"version\":%d}",
             WEAVE_REPORT_VERSION);
    assert_int_equal(read_of(&report, ready), 0);
    assert_int_equal(report.kind, WEAVE_REPORT_READY);
    assert_string_equal(report.text, "3.11");
    assert_int_equal(read_of(&report, "{\"op\":\"failed\",\"error\":\"e\"}"),
                     0);
    assert_int_equal(report.kind, WEAVE_REPORT_FAILED);
    assert_string_equal(report.text, "e");
    assert_int_equal(read_of(&report, "{\"op\":\"recycle\",\"why\":\"w\"}"), 0);
    assert_int_equal(report.kind, WEAVE_REPORT_RECYCLE);
    assert_int_equal(read_of(&report, "{\"op\":\"stuck\"}"), 0);
    assert_int_equal(report.kind, WEAVE_REPORT_STUCK);
    assert_string_equal(report.text, "");
    assert_int_equal(read_of(&report, "{\"op\":\"stuck\",\"why\":[5]}"), 0);
    assert_string_equal(report.text, "");
    assert_int_equal(read_of(&report, "{\"op\":\"log\"}"), 0);
    assert_int_equal(report.kind, WEAVE_REPORT_LOG);
    assert_string_equal(report.text, "");
}

/* Who is of another version cannot serve: it is as if it had failed. */
static void ready_is_of_this_version(void **state)
{
    static const char *const others[] = {"", ",\"version\":999",
                                         ",\"version\":\"1\""};
    size_t i;

    (void)state;
    for (i = 0; i < sizeof(others) / sizeof(*others); i++) {
        weave_report_t report;

        assert_int_equal(
            read_of(&report,
                    apr_pstrcat(pool, "{\"op\":\"ready\",\"python\":\"3.11\"",
                                others[i], "}", NULL)),
            0);
        assert_int_equal(report.kind, WEAVE_REPORT_FAILED);
        assert_non_null(strstr(report.text, "another version of mod_weave"));
    }
}

static void refuses_others(void **state)
{
    weave_report_t report;

    (void)state;
    assert_int_equal(read_of(&report, "{}"), -1);
    assert_int_equal(read_of(&report, "{\"op\":5}"), -1);
    assert_int_equal(read_of(&report, "{\"op\":\"\"}"), -1);
    assert_int_equal(read_of(&report, "{\"op\":\"want\",\"apps\":[]}"), -1);
    assert_int_equal(read_of(&report, "{\"op\":\"read\"}"), -1);
}

/* Each character that JSON makes longest, and more of them than there is room
 * for: the line stays within its bound, and whole characters are left. */
static void makes_what_it_reads(void **state)
{
    static const char *const parts[] = {"\x01", "\xc3\xbc", "\xf0\x9f\x98\x80",
                                        "\xff", "\"",       "x"};
    size_t i;

    (void)state;
    for (i = 0; i < sizeof(parts) / sizeof(*parts); i++) {
        char *text = apr_pcalloc(pool, 40001);
        weave_report_t report;
        json_t *message;
        char *line;

        while (strlen(text) < 10000)
            strcat(text, parts[i]);
        message = weave_report_make(WEAVE_REPORT_FAILED, text);
        assert_non_null(message);
        line = json_dumps(message, JSON_COMPACT);
        assert_true(strlen(line) + 1 < WEAVE_REPORT_LINE_MAX);
        assert_int_equal(weave_report_read(&report, message), 0);
        assert_int_equal(report.kind, WEAVE_REPORT_FAILED);
        assert_true(strlen(report.text) > WEAVE_REPORT_TEXT_BYTES - 5);
        assert_string_equal(
            report.text, json_string_value(json_object_get(message, "error")));
        if (*parts[i] != '\xff')
            assert_memory_equal(report.text, text, strlen(report.text));
        else
            assert_int_equal(strspn(report.text, "?"), strlen(report.text));
        free(line);
        json_decref(message);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        each(reads_each_kind),
        each(ready_is_of_this_version),
        each(refuses_others),
        each(makes_what_it_reads),
    };

    return run_each(tests);
}
