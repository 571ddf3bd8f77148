/* SPDX-License-Identifier: Apache-2.0 */
/* weave_environment.c: workers.pass_env */
#include "weave_environment.h"

#include <string.h>

#include <apr_strings.h>

#include "weave_utf8.h"

/* Variables that `*` leaves out: they belong to httpd, to its user, to the
 * session of the person who has started it or to the service manager, or change
 * how programs are loaded. `*` at the end stands for all names that begin so.
 */
static const char *const left_out[] = {
    "APACHE_*",   "PYTHON*",       "LD_*",
    "LANG",       "LANGUAGE",      "LC_*",
    "HOME",       "USER",          "LOGNAME",
    "SHELL",      "MAIL",          "PWD",
    "OLDPWD",     "SHLVL",         "_",
    "SSH_*",      "SUDO_*",        "XDG_*",
    "DBUS_*",     "NOTIFY_SOCKET", "LISTEN_*",
    "WATCHDOG_*", "MAINPID",       "MANAGERPID*",
    "SYSTEMD_*",  "INVOCATION_ID", "MEMORY_PRESSURE_*",
    "JOURNAL_*",  "WEAVE_INI",
};

static int is_left_out(const char *name)
{
    size_t i;

    for (i = 0; i < sizeof(left_out) / sizeof(*left_out); i++) {
        size_t len = strlen(left_out[i]) - 1;

        if (left_out[i][len] == '*' ? !strncmp(name, left_out[i], len)
                                    : !strcmp(name, left_out[i]))
            return 1;
    }
    return weave_key_member_check(weave_key_get(WEAVE_WORKERS_ENV), name) !=
           NULL;
}

/* Adds a variable unless OWN sets it or it is no UTF-8, which JSON cannot carry
 * to weaved. */
static void variable_add(apr_table_t *table, const apr_table_t *own,
                         const char *name, const char *value)
{
    if (!weave_conf_member(own, name) && !weave_conf_member(table, name) &&
        weave_utf8_is_text(value, value + strlen(value)))
        apr_table_addn(table, name, value);
}

/* Adds the variables that `*` stands for. */
static void variables_add(apr_table_t *table, const apr_table_t *own,
                          char *const *variables, apr_pool_t *pool)
{
    for (; *variables; variables++) {
        const char *equals = strchr(*variables, '=');
        const char *name;

        if (!equals)
            continue;
        name =
            apr_pstrmemdup(pool, *variables, (apr_size_t)(equals - *variables));
        if (!is_left_out(name))
            variable_add(table, own, name, equals + 1);
    }
}

/* Returns the value of NAME, or NULL. */
static const char *variable_value(const char *name, char *const *variables)
{
    size_t len = strlen(name);

    for (; *variables; variables++)
        if (!strncmp(*variables, name, len) && (*variables)[len] == '=')
            return *variables + len + 1;
    return NULL;
}

apr_table_t *weave_environment_passed(const weave_conf_t *conf,
                                      char *const *variables,
                                      apr_array_header_t *absent,
                                      apr_pool_t *pool)
{
    const apr_array_header_t *names =
        weave_conf_list(conf, WEAVE_WORKERS_PASS_ENV);
    const apr_table_t *own = weave_conf_env(conf);
    apr_table_t *table = apr_table_make(pool, 4);
    int i;

    for (i = 0; i < names->nelts; i++) {
        const char *name = APR_ARRAY_IDX(names, i, const char *), *value;

        if (!strcmp(name, "*")) {
            variables_add(table, own, variables, pool);
            continue;
        }
        value = variable_value(name, variables);
        if (value)
            variable_add(table, own, name, value);
        if (absent && !weave_conf_member(own, name) &&
            !weave_conf_member(table, name))
            APR_ARRAY_PUSH(absent, const char *) = name;
    }
    return table;
}
