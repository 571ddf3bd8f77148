/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MAINTENANCE_SUPPORT_H
#define MAINTENANCE_SUPPORT_H

/** What the tests of the maintenance file and of its folder share. */

#include "conf_support.h"

#include <dirent.h>
#include <unistd.h>

#include <apr_time.h>

#include "weave_maintenance.h"

#define SECOND APR_USEC_PER_SEC

/* Whatever is in the folder goes, not only what the tests have named. */
static UNUSED int tidy_teardown(void **state)
{
    DIR *dir = opendir(folder);
    const struct dirent *entry;

    while (dir && (entry = readdir(dir)) != NULL)
        unlink(in_folder(entry->d_name));
    if (dir)
        closedir(dir);
    return each_teardown(state);
}

#define TIDY(test)                                                             \
    cmocka_unit_test_setup_teardown(test, each_setup, tidy_teardown)

static UNUSED weave_maintenance_t word_make(uint32_t mode, const char *by)
{
    weave_maintenance_t word = {.mode = mode, .since_us = 5 * SECOND};

    apr_cpystrn(word.by, by, sizeof(word.by));
    return word;
}

static UNUSED apr_array_header_t *entries_make(void)
{
    return apr_array_make(pool, 2, sizeof(weave_maintenance_entry_t));
}

static UNUSED void set(apr_array_header_t *entries, const char *ini,
                       uint32_t mode)
{
    weave_maintenance_t word = word_make(mode, "root");

    weave_maintenance_set(entries, ini, &word);
}

static UNUSED uint32_t mode_of(const apr_array_header_t *entries,
                               const char *ini)
{
    const weave_maintenance_t *word = weave_maintenance_find(entries, ini);

    return word ? word->mode : WEAVE_MAINTENANCE_OFF;
}

static UNUSED void writes(const apr_array_header_t *entries)
{
    const char *problem = weave_maintenance_write(entries, folder, pool);

    if (problem)
        fail_msg("%s", problem);
}

static UNUSED apr_array_header_t *reads(void)
{
    apr_array_header_t *entries;
    const char *problem;
    weave_maintenance_file_e file = weave_maintenance_read(
        &entries, NULL, &problem, folder, geteuid(), pool);

    if (problem)
        fail_msg("%s", problem);
    assert_int_equal(file, WEAVE_MAINTENANCE_FILE_READ);
    return entries;
}

#endif
