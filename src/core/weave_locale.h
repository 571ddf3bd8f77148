/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEAVE_LOCALE_H
#define WEAVE_LOCALE_H

/**
 * LC_CTYPE, by which C libraries convert text.
 *
 * A process begins with "C", where most of them fail at the first character
 * beyond ASCII. Python is in UTF-8 mode and takes no notice of it. All other
 * categories stay "C": numbers keep their point.
 */

/**
 * Returns the locale that the environment asks for, and in *VARIABLE the name
 * of LC_ALL, LC_CTYPE or LANG, the first of them that is not empty. NULL: none.
 * "C" and "POSIX" are none, too, but in LC_ALL: so Python has it (PEP 538).
 */
const char *weave_locale_wanted(const char **variable);

/**
 * Sets LC_CTYPE of the whole process to NAME, or to C.UTF-8 where NAME is NULL
 * or this machine has no such locale. To be called before there are threads.
 * Returns 0; -1 where it is not NAME; -2 where it is still "C", since there is
 * no C.UTF-8 either.
 */
int weave_locale_set(const char *name);

#endif
