/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LAYOUT_SUPPORT_H
#define LAYOUT_SUPPORT_H

/** Holds a layout that processes share against its version: programs of two
 *  versions of mod_weave meet whenever a package is upgraded while httpd runs.
 */

/** FNV-1a of BYTES at DATA behind HASH (0 at first). */
static inline uint64_t layout_hash(uint64_t hash, const void *data,
                                   size_t bytes)
{
    const unsigned char *at = data;

    hash = hash ? hash : UINT64_C(14695981039346656037);
    while (bytes--)
        hash = (hash ^ *at++) * UINT64_C(1099511628211);
    return hash;
}

/** VERSION and FINGERPRINT are what the code has, the others what the test
 *  remembers. */
static inline void layout_check(const char *name, int version,
                                uint64_t fingerprint, int remembered_version,
                                uint64_t remembered)
{
    if (fingerprint != remembered && version == remembered_version)
        fail_msg("the layout of %s has changed: raise its version to %d, and"
                 " remember 0x%016llx here",
                 name, version + 1, (unsigned long long)fingerprint);
    if (fingerprint != remembered || version != remembered_version)
        fail_msg("%s has version %d: remember that and 0x%016llx here", name,
                 version, (unsigned long long)fingerprint);
}

#endif
