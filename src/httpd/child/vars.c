/* SPDX-License-Identifier: Apache-2.0 */
/* vars.c: the facts of a request that become its environ
 *
 * ap_add_common_vars() and ap_add_cgi_vars() make a table of 30 strings for
 * every request; that alone costs more than the engine's whole turn. */
#include "exchange.h"

#include <apr_lib.h>
#include <apr_strings.h>

#define NAME_SLOTS 256 /* a power of two, well above the names there are */

static const char *const header_names[] = {
#define X(id, name, header, keep) header,
    WEAVE_VARS(X)
#undef X
};

static struct {
    unsigned char len;
    unsigned char key;
} slots[NAME_SLOTS];

static unsigned name_hash(const char *name, apr_size_t len)
{
    return ((unsigned)len * 37 + (name[0] | 0x20) * 5 +
            (name[len - 1] | 0x20) * 11 + (name[len / 2] | 0x20)) &
           (NAME_SLOTS - 1);
}

void mod_weave_vars_init(void)
{
    unsigned key, at;

    memset(slots, 0, sizeof(slots));
    for (key = 0; key < WEAVE_VAR_COUNT; key++) {
        const char *name = header_names[key];

        if (!name)
            continue;
        for (at = name_hash(name, strlen(name)); slots[at].len;)
            at = (at + 1) & (NAME_SLOTS - 1);
        slots[at].len = (unsigned char)strlen(name);
        slots[at].key = (unsigned char)key;
    }
}

static int header_key(const char *name, apr_size_t len)
{
    unsigned at;

    for (at = name_hash(name, len); slots[at].len;
         at = (at + 1) & (NAME_SLOTS - 1))
        if (slots[at].len == len &&
            !ap_cstr_casecmpn(header_names[slots[at].key], name, len))
            return slots[at].key;
    return WEAVE_VAR_OTHER;
}

static void var_add(mod_weave_vars_t *vars, unsigned key, const char *name,
                    const char *value)
{
    weave_var_t *var;

    if (!value)
        return;
    if (vars->count == vars->room) {
        var = apr_palloc(vars->pool, 2 * vars->room * sizeof(*var));
        memcpy(var, vars->items, vars->room * sizeof(*var));
        vars->items = var;
        vars->room *= 2;
    }
    var = &vars->items[vars->count++];
    var->key = key;
    var->name = name;
    var->value = value;
    var->value_len = (uint32_t)strlen(value);
}

/* HTTP_NAME, or NULL for a name that could pass for another one: a `_` that
 * would shadow a `-`. */
static const char *http_name(apr_pool_t *pool, const char *name, apr_size_t len)
{
    char *to = apr_palloc(pool, len + 6), *start = to;

    memcpy(to, "HTTP_", 5);
    for (to += 5; *name; name++)
        if (*name == '-')
            *to++ = '_';
        else if (apr_isalnum(*name))
            *to++ = apr_toupper(*name);
        else
            return NULL;
    *to = '\0';
    return start;
}

/* The application may check a password itself, unless httpd has. Of the body,
 * it gets the length that it has behind httpd's filters, and never a coding
 * that httpd has undone (RFC 9112 section 7.1.3). */
static int is_hidden(int key, const mod_weave_exchange_t *exchange)
{
    switch (key) {
    case WEAVE_VAR_AUTHORIZATION:
        return exchange->r->ap_auth_type ||
               !weave_conf_int(exchange->conf, WEAVE_WSGI_PASS_AUTHORIZATION);
    case WEAVE_VAR_CONTENT_LENGTH:
        return exchange->is_open;
    case WEAVE_VAR_TRANSFER_ENCODING:
        return 1;
    default:
        return 0;
    }
}

/* Returns 1 for names that no application gets to see. HTTP_PROXY means
 * something to HTTP clients (httpoxy); the trailers that Trailer announces are
 * not given. */
static int is_hidden_name(const char *name)
{
    return !ap_cstr_casecmp(name, "Proxy") ||
           !ap_cstr_casecmp(name, "Proxy-Authorization") ||
           !ap_cstr_casecmp(name, "Trailer");
}

/* ---- a body that mod_deflate will inflate ---- */

/* Returns 1 where the application reads the body through mod_deflate, which has
 * not begun yet: it corrects the headers when it does, behind our back. */
static int is_deflated_stream(const mod_weave_exchange_t *exchange)
{
    const ap_filter_t *filter = exchange->r->input_filters;

    if (exchange->length >= 0)
        return 0;
    while (filter && strcmp(filter->frec->name, "deflate") != 0)
        filter = filter->next;
    return filter != NULL;
}

/* Returns how long Content-Encoding is without the gzip at its end, which
 * mod_deflate takes off; or -1 where there is none. */
static int coding_cut(const char *value)
{
    const char *comma = strrchr(value, ','), *last = comma ? comma + 1 : value;

    while (apr_isspace(*last))
        last++;
    if (ap_cstr_casecmp(last, "gzip") && ap_cstr_casecmp(last, "x-gzip"))
        return -1;
    return comma ? (int)(comma - value) : 0;
}

/* Returns VALUE as it will be once mod_deflate reads; NULL: it will be gone. */
static const char *value_inflated(const mod_weave_exchange_t *exchange,
                                  const char *name, const char *value)
{
    request_rec *r = exchange->r;
    const char *coding = apr_table_get(r->headers_in, "Content-Encoding");
    int len = coding ? coding_cut(coding) : -1;

    if (len < 0 || !is_deflated_stream(exchange))
        return value;
    if (!ap_cstr_casecmp(name, "Content-Encoding"))
        return len ? apr_pstrmemdup(r->pool, coding, (apr_size_t)len) : NULL;
    return ap_cstr_casecmp(name, "Content-MD5") ? value : NULL;
}

/* ---- all headers ---- */

static void add_header(mod_weave_vars_t *vars, const char *name,
                       const char *value, const mod_weave_exchange_t *exchange)
{
    apr_size_t len = strlen(name);
    int key;

    if (!len)
        return;
    key = header_key(name, len);
    if (key != WEAVE_VAR_OTHER) {
        if (!is_hidden(key, exchange))
            var_add(vars, key, NULL, value);
        return;
    }
    if (is_hidden_name(name))
        return;
    if (exchange->is_open)
        value = value_inflated(exchange, name, value);
    name = http_name(vars->pool, name, len);
    if (name)
        var_add(vars, WEAVE_VAR_OTHER, name, value);
}

static void add_headers(mod_weave_vars_t *vars,
                        const mod_weave_exchange_t *exchange)
{
    const apr_array_header_t *rows = apr_table_elts(exchange->r->headers_in);
    const apr_table_entry_t *row = (const apr_table_entry_t *)rows->elts;
    int i;

    for (i = 0; i < rows->nelts; i++)
        if (row[i].key)
            add_header(vars, row[i].key, row[i].val, exchange);
    if (exchange->is_open && exchange->length >= 0)
        var_add(vars, WEAVE_VAR_CONTENT_LENGTH, NULL,
                apr_off_t_toa(vars->pool, exchange->length));
}

/* Facts of the request at hand. mod_include leaves those of the page around
 * it in the environment of what it includes. */
static int is_fact(const char *name)
{
    static const char *const facts[] = {
        "REQUEST_METHOD", "SCRIPT_NAME",     "PATH_INFO",    "QUERY_STRING",
        "REQUEST_URI",    "REQUEST_SCHEME",  "SERVER_NAME",  "SERVER_PORT",
        "SERVER_ADDR",    "SERVER_PROTOCOL", "REMOTE_ADDR",  "REMOTE_PORT",
        "DOCUMENT_ROOT",  "wsgi.url_scheme", "CONTENT_TYPE", "CONTENT_LENGTH",
    };
    apr_size_t i;

    for (i = 0; i < sizeof(facts) / sizeof(*facts); i++)
        if (!strcmp(facts[i], name))
            return 1;
    return 0;
}

static void add_table(mod_weave_vars_t *vars, const apr_table_t *table)
{
    const apr_array_header_t *rows = apr_table_elts(table);
    const apr_table_entry_t *row = (const apr_table_entry_t *)rows->elts;
    int i;

    for (i = 0; i < rows->nelts; i++)
        if (row[i].key && !is_fact(row[i].key))
            var_add(vars, WEAVE_VAR_OTHER, row[i].key, row[i].val);
}

static const char *port_text(apr_pool_t *pool, unsigned value)
{
    return value == 80    ? "80"
           : value == 443 ? "443"
                          : apr_itoa(pool, (int)value);
}

/* As the client sent it, before any redirect inside httpd: signatures are
 * made of it. */
static const char *request_uri(const request_rec *r)
{
    while (r->prev || r->main)
        r = r->prev ? r->prev : r->main;
    return r->unparsed_uri;
}

static void add_connection(mod_weave_vars_t *vars, request_rec *r)
{
    core_dir_config *core = ap_get_core_module_config(r->per_dir_config);

    var_add(vars, WEAVE_VAR_SERVER_NAME, NULL, ap_get_server_name_for_url(r));
    var_add(vars, WEAVE_VAR_SERVER_PORT, NULL,
            port_text(r->pool, ap_get_server_port(r)));
    var_add(vars, WEAVE_VAR_SERVER_ADDR, NULL, r->connection->local_ip);
    var_add(vars, WEAVE_VAR_SERVER_PROTOCOL, NULL, r->protocol);
    var_add(vars, WEAVE_VAR_REMOTE_ADDR, NULL, r->useragent_ip);
    if (core->hostname_lookups == HOSTNAME_LOOKUP_ON ||
        core->hostname_lookups == HOSTNAME_LOOKUP_DOUBLE)
        var_add(vars, WEAVE_VAR_REMOTE_HOST, NULL,
                ap_get_useragent_host(r, REMOTE_HOST, NULL));
    var_add(vars, WEAVE_VAR_REMOTE_PORT, NULL,
            apr_itoa(r->pool, r->useragent_addr->port));
    var_add(vars, WEAVE_VAR_REMOTE_USER, NULL, r->user);
    var_add(vars, WEAVE_VAR_AUTH_TYPE, NULL, r->ap_auth_type);
    var_add(vars, WEAVE_VAR_DOCUMENT_ROOT, NULL, ap_document_root(r));
}

/* A proxy that ends TLS in front of us says so through
 * `SetEnvIf X-Forwarded-Proto https HTTPS=on`; mod_ssl sets the same. */
static void add_scheme(mod_weave_vars_t *vars, request_rec *r)
{
    const char *https = apr_table_get(r->subprocess_env, "HTTPS");
    const char *scheme = ap_http_scheme(r);

    if (https && (!ap_cstr_casecmp(https, "on") || !strcmp(https, "1")))
        scheme = "https";
    var_add(vars, WEAVE_VAR_URL_SCHEME, NULL, scheme);
    var_add(vars, WEAVE_VAR_REQUEST_SCHEME, NULL, scheme);
}

/* Later entries win: what the administrator sets (SetEnv, WeaveSet) stands
 * above what the client sends. */
void mod_weave_vars_fill(mod_weave_vars_t *vars,
                         const mod_weave_exchange_t *exchange)
{
    request_rec *r = exchange->r;
    const mod_weave_mount_t *mount = exchange->mount;
    const apr_table_t *environ = weave_conf_environ(exchange->conf);

    var_add(vars, WEAVE_VAR_REQUEST_METHOD, NULL, r->method);
    var_add(vars, WEAVE_VAR_SCRIPT_NAME, NULL, mount->prefix);
    var_add(vars, WEAVE_VAR_PATH_INFO, NULL, mod_weave_path_info(r, mount));
    var_add(vars, WEAVE_VAR_QUERY_STRING, NULL, r->args ? r->args : "");
    var_add(vars, WEAVE_VAR_REQUEST_URI, NULL, request_uri(r));
    add_connection(vars, r);
    add_headers(vars, exchange);
    add_table(vars, r->subprocess_env);
    add_scheme(vars, r);
    var_add(vars, WEAVE_VAR_OTHER, "weave.request_id", mod_weave_request_id(r));
    if (environ != mount->app->environ)
        add_table(vars, environ);
}
