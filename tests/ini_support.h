/* SPDX-License-Identifier: Apache-2.0 */
#ifndef INI_SUPPORT_H
#define INI_SUPPORT_H

/** What the tests of ini files share: the one that was read, and its entries.
 */

#include "conf_support.h"

#include "weave_ini.h"

static weave_ini_t *ini;

static UNUSED apr_status_t read_file(const char *name)
{
    ini = NULL;
    return weave_ini_read(&ini, in_folder(name), problems, pool);
}

static UNUSED void read_text(const char *text)
{
    file_write("a.ini", text);
    read_file("a.ini");
}

static UNUSED const weave_ini_entry_t *get(const char *section, const char *key)
{
    const weave_ini_entry_t *entry = weave_ini_get(ini, section, key);

    if (!entry) {
        fail_msg("there is no %s in [%s]", key, section);
    }
    return entry;
}

static UNUSED void assert_text(const char *section, const char *key,
                               const char *text)
{
    assert_int_equal(get(section, key)->value.type, WEAVE_INI_STRING);
    assert_string_equal(get(section, key)->value.text, text);
}

static UNUSED void assert_no_problem(void)
{
    if (problems->nelts) {
        fail_msg("%s", weave_problem_text(problem(0), pool));
    }
}

#endif
