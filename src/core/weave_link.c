/* SPDX-License-Identifier: Apache-2.0 */
/* weave_link.c: follows the symbolic links on the way of a path */
#include "weave_link.h"

#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <apr_strings.h>

#define LINKS_MOST 40 /* as the kernel has it */

/* Returns the name that PATH ends with. */
static const char *name_last(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash ? slash + 1 : path;
}

/* Returns the folder that PATH, absolute, stands in. */
static const char *folder_of(const char *path, apr_pool_t *pool)
{
    const char *slash = strrchr(path, '/');

    return slash && slash != path
               ? apr_pstrmemdup(pool, path, (apr_size_t)(slash - path))
               : "/";
}

/* Tells whether NAME in FOLDER is the LINK, by whatever path it is reached. */
static int is_that_link(const char *folder, const char *name,
                        const weave_link_t *link, apr_pool_t *pool)
{
    struct stat here, there;

    return link && !strcmp(name, name_last(link->path)) &&
           stat(*folder ? folder : "/", &here) == 0 &&
           stat(folder_of(link->path, pool), &there) == 0 &&
           here.st_dev == there.st_dev && here.st_ino == there.st_ino;
}

/* Returns the text of the link NAME in FOLDER; NULL: it is none. */
static const char *link_text(const char *folder, const char *name,
                             const weave_link_t *as_if, apr_pool_t *pool)
{
    char text[PATH_MAX];
    ssize_t len;

    if (is_that_link(folder, name, as_if, pool))
        return as_if->leads_to;
    len = readlink(apr_pstrcat(pool, folder, "/", name, NULL), text,
                   sizeof(text) - 1);
    return len > 0 ? apr_pstrmemdup(pool, text, (apr_size_t)len) : NULL;
}

const char *weave_link_follow(const char *path, const weave_link_t *as_if,
                              apr_pool_t *pool)
{
    char *done = "", *rest = apr_pstrdup(pool, path), *slash;
    int left = LINKS_MOST;

    if (*path != '/')
        return path;
    while (*rest) {
        const char *name, *text = NULL;

        rest += strspn(rest, "/");
        name = apr_pstrmemdup(pool, rest, strcspn(rest, "/"));
        rest += strlen(name);
        if (!*name || !strcmp(name, "."))
            continue;
        if (!strcmp(name, "..")) {
            slash = strrchr(done, '/');
            done = slash
                       ? apr_pstrmemdup(pool, done, (apr_size_t)(slash - done))
                       : "";
            continue;
        }
        if (left > 0)
            text = link_text(done, name, as_if, pool);
        if (!text) {
            done = apr_pstrcat(pool, done, "/", name, NULL);
            continue;
        }
        left--;
        if (*text == '/')
            done = "";
        rest = apr_pstrcat(pool, text, "/", rest, NULL);
    }
    return *done ? done : "/";
}

void weave_link_collect(apr_array_header_t *links, const char *path,
                        const weave_link_t *as_if)
{
    apr_pool_t *pool = links->pool;
    const char *end = path;

    while (*path == '/' && *end) {
        const char *prefix, *folder;
        weave_link_t *link;

        end += strspn(end, "/");
        end += strcspn(end, "/");
        prefix = apr_pstrmemdup(pool, path, (apr_size_t)(end - path));
        folder = folder_of(prefix, pool);
        if (!link_text(folder, name_last(prefix), as_if, pool))
            continue;
        link = &APR_ARRAY_PUSH(links, weave_link_t);
        link->path = prefix;
        link->leads_to = weave_link_follow(prefix, as_if, pool);
    }
}

/* Returns the longest of LINKS whose path is the beginning of the path that
 * TEXT begins with; NULL: there is none. */
static const weave_link_t *link_match(const apr_array_header_t *links,
                                      const char *text)
{
    const weave_link_t *found = NULL;
    int i;

    for (i = 0; i < links->nelts; i++) {
        const weave_link_t *link = &APR_ARRAY_IDX(links, i, weave_link_t);
        size_t len = strlen(link->path);

        if (!strncmp(text, link->path, len) && strchr("/:", text[len]) &&
            (!found || len > strlen(found->path)))
            found = link;
    }
    return found;
}

const char *weave_link_replace(const apr_array_header_t *links,
                               const char *text, apr_pool_t *pool)
{
    const char *made = "";

    for (;;) {
        const weave_link_t *link = link_match(links, text);
        size_t len;

        if (link) {
            made = apr_pstrcat(pool, made, link->leads_to, NULL);
            text += strlen(link->path);
        }
        len = strcspn(text, ":");
        len += text[len] == ':';
        made = apr_pstrcat(pool, made, apr_pstrmemdup(pool, text, len), NULL);
        text += len;
        if (!*text)
            return made;
    }
}

const char *weave_release_name(const char *path, apr_pool_t *pool)
{
    static const char below[] = "/releases/";
    const char *found = NULL, *next = path;

    while (next && (next = strstr(next, below)) != NULL)
        found = next += sizeof(below) - 1;
    return found && *found ? apr_pstrmemdup(pool, found, strcspn(found, "/"))
                           : NULL;
}
