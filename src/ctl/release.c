/* SPDX-License-Identifier: Apache-2.0 */
/* release.c: weavectl install and its relatives are programs in Python */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include <apr_strings.h>
#include <apr_tables.h>

#include "release.h"
#include "say.h"

/* What Python's argparse has more of, for `weavectl help`. */
static const struct {
    const char *name, *help;
} releases[] = {
    {"init", "make release.home and a first " CTL_DEFAULT_INI},
    {"install", "take a release from a share, prove it, serve it"},
    {"checkout", "the same with a revision of a repository"},
    {"switch", "serve a release that is ready"},
    {"rollback", "serve the release before"},
    {"releases", "show the releases of this node"},
    {"verify", "compare the files of a release with its record"},
    {"prune", "remove old releases"},
};
#define RELEASES (sizeof(releases) / sizeof(*releases))

void ctl_releases_help(void)
{
    size_t i;

    for (i = 0; i < RELEASES; i++)
        ctl_line("  %-12s %s", releases[i].name, releases[i].help);
}

static const char *release_find(const char *word)
{
    size_t i;

    for (i = 0; word && i < RELEASES; i++)
        if (!strcmp(releases[i].name, word))
            return releases[i].name;
    return NULL;
}

/* Returns whether the argument after ARGUMENT is its value. */
static int option_has_value(const char *argument,
                            const apr_getopt_option_t *options)
{
    for (; options->name; options++)
        if (options->has_arg &&
            ((argument[1] == options->optch && !argument[2]) ||
             (argument[1] == '-' && !strcmp(argument + 2, options->name))))
            return 1;
    return 0;
}

const char *ctl_release_find(int argc, const char *const *argv,
                             const apr_getopt_option_t *options)
{
    const char *help = NULL;
    int i;

    for (i = 1; i < argc; i++) {
        if (argv[i][0] == '-') {
            i += option_has_value(argv[i], options);
            continue;
        }
        if (help || strcmp(argv[i], "help"))
            return release_find(argv[i]) ? (help ? help : argv[i]) : NULL;
        help = argv[i];
    }
    return NULL;
}

int ctl_release_run(int argc, const char *const *argv, const char *libdir,
                    apr_pool_t *pool)
{
    const char *program = apr_pstrcat(pool, libdir, "/weave-release", NULL);
    const char *fixed[] = {
        CTL_PYTHON, "-I",         "-S",
        "-B",       "-X",         "utf8",
        program,    "--weavectl", apr_pstrcat(pool, libdir, "/weavectl", NULL),
        "--libdir", libdir,       "--"};
    int count = (int)(sizeof(fixed) / sizeof(*fixed));
    const char **all =
        apr_pcalloc(pool, (apr_size_t)(count + argc) * sizeof(*all));

    memcpy(all, fixed, sizeof(fixed));
    memcpy(all + count, argv + 1, (size_t)(argc - 1) * sizeof(*all));
    if (access(apr_pstrcat(pool, program, "/__main__.py", NULL), R_OK) != 0)
        return ctl_say("%s is missing or cannot be read: install mod_weave "
                       "anew",
                       program);
    execv(CTL_PYTHON, (char *const *)all);
    return ctl_say("%s, which this command needs, cannot be started: %s. "
                   "Install it, or build mod_weave with PYTHONS= that names "
                   "another Python",
                   CTL_PYTHON, strerror(errno));
}
