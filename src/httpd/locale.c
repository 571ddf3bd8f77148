/* SPDX-License-Identifier: Apache-2.0 */
/* locale.c: the locale of embedded mode, which is httpd's, too */
#include "mod_weave.h"

#include "weave_locale.h"

/* No other one: it would change what httpd's own strcasecmp() does. */
void mod_weave_locale_set(const server_rec *s)
{
    if (weave_locale_set(NULL) < 0)
        ap_log_error(APLOG_MARK, APLOG_WARNING, 0, s,
                     "WEAVE0233: this machine has no locale C.UTF-8:"
                     " C libraries of the application convert nothing but"
                     " ASCII. Install it, and restart httpd");
}

void mod_weave_locale_check(const server_rec *s, const weave_conf_t *conf,
                            const char *where)
{
    const apr_array_header_t *rows = apr_table_elts(weave_conf_env(conf));
    int i;

    for (i = 0; i < rows->nelts; i++) {
        const char *name = APR_ARRAY_IDX(rows, i, apr_table_entry_t).key;

        if (strcmp(name, "LANG") == 0 || strncmp(name, "LC_", 3) == 0)
            ap_log_error(APLOG_MARK, APLOG_NOTICE, 0, s,
                         "WEAVE0231: %s: in embedded mode env.%s does not"
                         " change by which locale C libraries convert text,"
                         " for httpd uses it, too: it is C.UTF-8",
                         where, name);
    }
}
