/* SPDX-License-Identifier: Apache-2.0 */
/* page.c: the page for people, where they ask for one */
#include "child.h"

#include <stdlib.h>

#include <apr_strings.h>
#include <http_main.h>

/* Stands for maintenance.message, in the file and here. */
static const char token[] = "{message}";
#define PAGE(title, text)                                                      \
    "<!DOCTYPE html>\n"                                                        \
    "<html lang=\"en\"><head><meta charset=\"utf-8\">"                         \
    "<meta name=\"viewport\" content=\"width=device-width\">"                  \
    "<title>" title "</title><style>"                                          \
    "body{font:1.1em/1.5 sans-serif;max-width:32em;margin:15vh auto;"          \
    "padding:0 1em;color:#222;background:#fff}"                                \
    "@media(prefers-color-scheme:dark){body{color:#ddd;background:#1b1b1b}}"   \
    "</style></head><body><h1>" title "</h1>" text "</body></html>\n"
static const char pause_page[] =
    PAGE("Back soon",
         "<p>This service pauses for a moment. Please try again later.</p>"
         "<p>{message}</p>");
static const char failure_page[] =
    PAGE("Not available", "<p>This service is not available at the moment."
                          " Please try again later.</p>");

static int quality_parse(const char *text)
{
    double q = strtod(text, NULL);

    return q >= 1 ? 1000 : q > 0 ? (int)(q * 1000) : 0;
}

/* Returns the quality of RANGE in an Accept header, in thousandths; -1: it is
 * not named (RFC 9110 section 12.5.1). */
static int quality_find(const char *accept, const char *range)
{
    apr_size_t len = strlen(range);
    const char *at = accept;

    while (*at) {
        at += strspn(at, " \t,");
        if (!ap_cstr_casecmpn(at, range, len) && strchr(" \t,;", at[len])) {
            const char *end = at + strcspn(at, ","), *q = at + len;

            while ((q = strchr(q, ';')) && q < end) {
                q += 1 + strspn(q + 1, " \t");
                if ((*q == 'q' || *q == 'Q') && q[1] == '=')
                    return quality_parse(q + 2);
            }
            return 1000;
        }
        at += strcspn(at, ",");
    }
    return -1;
}

/* Returns 1 where Accept names HTML, and no other type above it: a client that
 * takes anything gets what programs get. */
static int prefers_html(request_rec *r)
{
    const char *accept = apr_table_get(r->headers_in, "Accept");
    int html = accept ? quality_find(accept, "text/html") : 0;
    int json = accept ? quality_find(accept, "application/json") : 0;

    if (html > 0 && json < 0)
        json = quality_find(accept, "application/*");
    if (html > 0 && json < 0)
        json = quality_find(accept, "*/*");
    return html > 0 && html >= json;
}

static void failure_log(request_rec *r, const char *path, int why)
{
    static _Atomic int64_t next_us;

    if (mod_weave_log_is_due(&next_us))
        ap_log_rerror(APLOG_MARK, APLOG_ERR, 0, r, MOD_WEAVE_PAGE_FAILURE, path,
                      mod_weave_page_flaw(why, r->pool));
}

/* Returns TEXT with the escaped message in the place of each token. */
static const char *message_fill(const char *text, const char *message,
                                apr_size_t *len, apr_pool_t *pool)
{
    const char *with = ap_escape_html(pool, message), *found;
    apr_size_t count = 0, size = strlen(with), skip = sizeof(token) - 1;
    char *page, *end;

    for (found = text; (found = strstr(found, token)) != NULL; found += skip)
        count++;
    page = end = apr_palloc(pool, strlen(text) + count * size + 1);
    while ((found = strstr(text, token)) != NULL) {
        memcpy(end, text, (apr_size_t)(found - text));
        end += found - text;
        end = apr_cpystrn(end, with, size + 1);
        text = found + skip;
    }
    end = apr_cpystrn(end, text, strlen(text) + 1);
    *len = (apr_size_t)(end - page);
    return page;
}

const char *mod_weave_page(request_rec *r, const weave_conf_t *conf,
                           const char *message, apr_size_t *len)
{
    const char *path = weave_conf_str(conf, WEAVE_MAINTENANCE_PAGE);
    const char *text = NULL;
    int why = 0;

    if (!prefers_html(r))
        return NULL;
    if (!message) {
        *len = sizeof(failure_page) - 1;
        return failure_page;
    }
    if (*path) {
        text = mod_weave_page_read(path, &why, r->pool);
        if (!text)
            failure_log(r, path, why);
    }
    return message_fill(text ? text : pause_page, message, len, r->pool);
}
