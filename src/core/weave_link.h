/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEAVE_LINK_H
#define WEAVE_LINK_H

/**
 * Symbolic links on the way of paths, followed once: as they are now, or as if
 * one of them had been moved already.
 */

#include <apr_pools.h>
#include <apr_tables.h>

typedef struct weave_link_t {
    const char *path, *leads_to; /* absolute */
} weave_link_t;

/** Returns what PATH leads to, in POOL: all links are followed, also those on
 *  the way, as far as the path exists; AS_IF (NULL: none) counts as leading to
 *  its `leads_to`, even when it does not exist. A path that is not absolute is
 *  returned as it is. */
const char *weave_link_follow(const char *path, const weave_link_t *as_if,
                              apr_pool_t *pool);

/** Appends to LINKS, of weave_link_t, each link on the way of PATH as it is
 *  written, with what it leads to. */
void weave_link_collect(apr_array_header_t *links, const char *path,
                        const weave_link_t *as_if);

/** Returns TEXT, in POOL, with what LINKS lead to in the place of each path of
 *  theirs that it begins with, or that stands behind a colon. */
const char *weave_link_replace(const apr_array_header_t *links,
                               const char *text, apr_pool_t *pool);

/** Returns the name of the release that PATH (NULL: none) leads into, in POOL:
 *  of the folder right below the last folder `releases`; NULL: there is
 *  none. */
const char *weave_release_name(const char *path, apr_pool_t *pool);

#endif
