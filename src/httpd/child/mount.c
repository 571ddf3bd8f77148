/* SPDX-License-Identifier: Apache-2.0 */
/* mount.c: which application a request is for, and its PATH_INFO */
#include "child.h"

#include <apr_strings.h>

static const char marker[] = "weave:application";

const mod_weave_mount_t *mod_weave_mount_of(request_rec *r)
{
    return ap_get_module_config(r->request_config, &weave_module);
}

static const mod_weave_mount_t *mount_match(request_rec *r)
{
    const apr_array_header_t *mounts = mod_weave_server_get(r->server)->mounts;
    int i;

    for (i = 0; i < mounts->nelts; i++) {
        const mod_weave_mount_t *mount =
            APR_ARRAY_IDX(mounts, i, mod_weave_mount_t *);

        if (strncmp(r->uri, mount->prefix, mount->prefix_len) == 0 &&
            (r->uri[mount->prefix_len] == '/' ||
             (mount->prefix_len && !r->uri[mount->prefix_len])))
            return mount;
    }
    return NULL;
}

/* Returns 1 for the handler of another module. No name, "none" and our own are
 * as if there were no SetHandler. */
static int is_theirs(const char *handler)
{
    return handler && *handler && strcmp(handler, "none") != 0 &&
           strcmp(handler, MOD_WEAVE_HANDLER) != 0;
}

/* httpd sets r->handler later: SetHandler is an expression to it. */
const mod_weave_mount_t *mod_weave_mount_ours(request_rec *r)
{
    const core_dir_config *core = ap_get_core_module_config(r->per_dir_config);
    const char *problem;

    if (r->filename != marker || is_theirs(core->handler) ||
        (core->expr_handler &&
         is_theirs(ap_expr_str_exec(r, core->expr_handler, &problem))))
        return NULL;
    return mod_weave_mount_of(r);
}

const weave_conf_t *mod_weave_conf_of(request_rec *r,
                                      const mod_weave_mount_t *mount)
{
    mod_weave_dir_t *dir =
        ap_get_module_config(r->per_dir_config, &weave_module);

    if (!mount->conf)
        return weave_conf_make(r->pool);
    return dir->set ? weave_conf_merge(r->pool, mount->conf, dir->set)
                    : mount->conf;
}

/* TRACE is answered by httpd, CONNECT asks for a proxy, and `OPTIONS *` matches
 * no mount. */
static int is_served(const request_rec *r)
{
    return r->method_number != M_TRACE && r->method_number != M_CONNECT &&
           !r->proxyreq;
}

int mod_weave_translate_name(request_rec *r)
{
    const mod_weave_mount_t *mount = mount_match(r);

    if (!mount || !is_served(r))
        return DECLINED;
    ap_set_module_config(r->request_config, &weave_module, (void *)mount);
    r->filename = (char *)marker;
    return OK;
}

/* There is no file: the directory walk would find nothing. */
int mod_weave_map_to_storage(request_rec *r)
{
    return r->filename == marker ? OK : DECLINED;
}

/* Returns 1 where mod_dir looks with R for the index of a folder
 * (DirectoryIndex), or for what answers in the place of a file that is not
 * there (FallbackResource). It takes nothing but a regular file. To other
 * modules such a file would mean more: what mod_include includes would not be
 * cached. */
static int is_index(const request_rec *r)
{
    return r->main &&
           (r->main->finfo.filetype == APR_DIR ||
            (r->main->finfo.filetype == APR_NOFILE && !r->main->handler));
}

/* mod_cache answers OK when it is asked in advance for what it has, and no file
 * comes with that: it is not asked. Any other answer than OK is as none. */
int mod_weave_quick_handler(request_rec *r, int is_lookup)
{
    return is_lookup && is_index(r) && mount_match(r) ? DONE : DECLINED;
}

/* A SetHandler in a <Location> wins: /server-status below a mount at /. */
int mod_weave_fixups(request_rec *r)
{
    if (r->filename == marker && !r->handler) {
        r->handler = MOD_WEAVE_HANDLER;
        if (is_index(r))
            r->finfo.filetype = APR_REG;
    }
    return DECLINED;
}

int mod_weave_mount_is_lost(request_rec *r)
{
    return r->filename == marker && mod_weave_mount_of(r) != mount_match(r);
}

/* ap_internal_fast_redirect() has put a subrequest in the place of the request:
 * one with GET, whatever the client's method, without the name of a user, and
 * for which no header_parser has run. So nothing of it counts but where it
 * leads. No quick handler runs for that path: mod_cache would answer with what
 * it has of it, whatever path the client has asked for. */
int mod_weave_mount_find(request_rec *r)
{
    const char *uri = ap_escape_uri(r->pool, r->uri);

    if (!is_served(r))
        return HTTP_METHOD_NOT_ALLOWED;
    if (r->args)
        uri = apr_pstrcat(r->pool, uri, "?", r->args, NULL);
    ap_internal_redirect_handler(uri, r);
    return OK;
}

static int keeps_2f(request_rec *r)
{
    core_dir_config *core = ap_get_core_module_config(r->per_dir_config);

    return core->allow_encoded_slashes && !core->decode_encoded_slashes;
}

/* Returns the path in the request line, or NULL. A path that starts with // is
 * no host, although apr_uri_parse() takes it for one. */
static char *raw_path(request_rec *r)
{
    apr_uri_t uri = {0};

    if (*r->unparsed_uri == '/')
        return apr_pstrmemdup(r->pool, r->unparsed_uri,
                              strcspn(r->unparsed_uri, "?#"));
    if (apr_uri_parse(r->pool, r->unparsed_uri, &uri) != APR_SUCCESS)
        return NULL;
    return uri.path;
}

/* Returns the path that the client sent as httpd decodes it, but with its
 * slashes as they came. NULL: there is none, or httpd would not decode it. */
static char *path_decode(request_rec *r)
{
    char *path = raw_path(r);
    int rc;

    if (!path)
        return NULL;
    if (!ap_normalize_path(path, AP_NORMALIZE_NOT_ABOVE_ROOT |
                                     AP_NORMALIZE_DECODE_UNRESERVED))
        return NULL;
    rc = keeps_2f(r) ? ap_unescape_url_keep2f(path, 0) : ap_unescape_url(path);
    return rc == OK || rc == HTTP_NOT_FOUND ? path : NULL;
}

/* Compares the two, a run of slashes as one. Returns the position in RAW that
 * stands for offset AT of MERGED; or NULL: they differ. */
static const char *offset_map(const char *raw, const char *merged,
                              apr_size_t at)
{
    const char *from = merged, *found = NULL;

    for (;; raw++, merged++) {
        if (!found && merged == from + at)
            found = raw;
        if (*raw != *merged)
            return NULL;
        if (!*raw)
            return found;
        if (*raw != '/')
            continue;
        while (raw[1] == '/')
            raw++;
        while (merged[1] == '/')
            merged++;
    }
}

/* A rewrite or a subrequest has a path of its own, and no access control saw
 * the one the client sent: then r->uri it is. */
const char *mod_weave_path_info(request_rec *r, const mod_weave_mount_t *mount)
{
    apr_size_t len = strlen(r->uri);
    const char *path, *found;

    if (!strncmp(r->unparsed_uri, r->uri, len) &&
        (!r->unparsed_uri[len] || r->unparsed_uri[len] == '?'))
        return r->uri + mount->prefix_len;
    path = path_decode(r);
    found = path ? offset_map(path, r->uri, mount->prefix_len) : NULL;
    return found ? found : r->uri + mount->prefix_len;
}
