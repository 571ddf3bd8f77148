/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEAVE_VERSION_H
#define WEAVE_VERSION_H

/** The version of mod_weave and of all its programs. */
#define WEAVE_VERSION "0.4.0"

#endif
