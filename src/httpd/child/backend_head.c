/* SPDX-License-Identifier: Apache-2.0 */
/* backend_head.c: the head of an answer, as a worker has sent it */
#include "backend.h"

#include <string.h>

/* Fills HEADERS from the strings of a head. */
static int headers_read(weave_header_t *headers, apr_size_t count,
                        weave_frame_cursor_t *cursor)
{
    apr_size_t i;

    for (i = 0; i < count; i++) {
        headers[i].name = weave_frame_string_next(cursor);
        headers[i].value = weave_frame_string_next(cursor);
        if (!headers[i].name || !headers[i].value)
            return -1;
    }
    return 0;
}

/* May only httpd send a header of this name? That is one of the connection, or
 * how long the body is, which the head has elsewhere. */
static int is_servers(const char *name)
{
    static const char *const names[] = {"Connection",
                                        "Content-Length",
                                        "Keep-Alive",
                                        "Proxy-Authenticate",
                                        "Proxy-Authorization",
                                        "TE",
                                        "Trailer",
                                        "Trailers",
                                        "Transfer-Encoding",
                                        "Upgrade"};
    apr_size_t i;

    for (i = 0; i < sizeof(names) / sizeof(*names); i++)
        if (!ap_cstr_casecmp(name, names[i]))
            return 1;
    return 0;
}

/* The engine has checked it; a worker that is not itself any more may not
 * answer what httpd would choke on. */
static int is_sane(const weave_head_t *head)
{
    apr_size_t i;

    if (strpbrk(head->reason, "\r\n"))
        return 0;
    for (i = 0; i < head->headers_count; i++) {
        const char *name = head->headers[i].name;

        if (!*name || *ap_scan_http_token(name) ||
            *ap_scan_http_field_content(head->headers[i].value) ||
            is_servers(name))
            return 0;
    }
    return 1;
}

int backend_head_decode(weave_head_t *head, const weave_frame_head_t *fixed,
                        const char *strings, apr_pool_t *pool)
{
    weave_frame_cursor_t cursor = {strings, strings + fixed->strings};
    weave_header_t *headers =
        apr_palloc(pool, (fixed->headers + 1) * sizeof(*headers));

    *head = (weave_head_t){.arena = strings,
                           .arena_len = fixed->strings,
                           .status = fixed->status,
                           .content_length = fixed->content_length,
                           .headers_count = fixed->headers,
                           .headers = headers};
    head->reason = weave_frame_string_next(&cursor);
    return head->reason &&
                   headers_read(headers, fixed->headers, &cursor) == 0 &&
                   is_sane(head)
               ? 0
               : -1;
}
