/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEAVE_LOCALE_H
#define WEAVE_LOCALE_H

/**
 * Sets LC_CTYPE, the locale by which C libraries convert text.
 *
 * A process begins with "C", in which most of them fail at the first character
 * beyond ASCII. Python is in UTF-8 mode and does not use it. All other
 * categories stay "C", so that numbers keep their decimal point.
 */

/**
 * Returns the locale in the first of LC_ALL, LC_CTYPE and LANG that is not
 * empty, and sets *VARIABLE to its name. Returns NULL when all are empty; also
 * when that one is LC_CTYPE or LANG and its value "C" or "POSIX", as in Python
 * (PEP 538).
 */
const char *weave_locale_wanted(const char **variable);

/**
 * Sets LC_CTYPE of the whole process to NAME; or to C.UTF-8 when NAME is NULL
 * or this machine has no such locale. Call it before there are threads. Returns
 * 0; -1 when it has set C.UTF-8 instead of NAME; -2 when it has changed
 * nothing, because there is no C.UTF-8 either.
 */
int weave_locale_set(const char *name);

#endif
