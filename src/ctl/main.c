/* SPDX-License-Identifier: Apache-2.0 */
/* main.c: reads the command line of weavectl, and runs the command */
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <apr_general.h>
#include <apr_getopt.h>
#include <apr_strings.h>

#include "folder.h"
#include "release.h"
#include "say.h"
#include "weave_maintenance.h"
#include "weave_version.h"

#define DEFAULT_DIR "/run/weave"

static int version_show(const ctl_t *ctl)
{
    (void)ctl;
    puts("weavectl (mod_weave) " WEAVE_VERSION);
    return CTL_DONE;
}

static int topic_show(const ctl_t *ctl);

/* Who may give a command: everybody, or root and the user that starts httpd.
 * Others may give one of SHOWN too: it prints what they may read, and that this
 * is not all. */
typedef enum { FOR_ALL, FOR_OWNER, SHOWN } rights_e;

static const struct command_t {
    const char *name;
    int (*run)(const ctl_t *);
    rights_e rights;   /* without MODE */
    const char *takes; /* letters of its own options; 'M', 'I', 'C': words */
    const char *help;  /* NULL: it is no command for people */
    const char *more;
} commands[] = {
    {"reload", ctl_reload, FOR_OWNER, "wI",
     "start new workers with the code as it is now",
     "Asks weaved for a new generation of the application of INI, or of all\n"
     "applications, and waits until it serves or has failed. No request is\n"
     "lost: the old workers go on until the new ones are ready, and also when\n"
     "those do not come up.\n"
     "\n"
     "      --no-wait   return at once\n"},
    {"status", ctl_status, SHOWN, "jI",
     "show generations, workers and maintenance",
     "Shows what weaved runs, and what maintenance is in force: of the\n"
     "application of INI, or of all.\n"
     "\n"
     "      --json      for programs\n"},
    {"maintenance", ctl_maintenance, SHOWN, "frmWMI",
     "refuse or slow down clients, at once",
     "Says what becomes of requests to the application of INI, or to all\n"
     "applications, from now on, restarts and reboots included. Without MODE\n"
     "it shows what is in force (with -i INI, for that one). The strictest of\n"
     "this, WeaveMaintenance in httpd.conf and maintenance.mode in sync.ini\n"
     "wins.\n"
     "\n"
     "      on        answer 503, with the time to stay away\n"
     "      drain     let syncs that run finish, begin none; on after a while\n"
     "                (maintenance.drain)\n"
     "      backoff   serve, and ask clients to slow down\n"
     "      off       take it back: for INI, or everything\n"
     "\n"
     "  -f, --for DURATION    ends by itself: 30m, 90s, 2h, 1d; 90 d at most\n"
     "  -r, --retry-after N   seconds, or a duration, that clients are told\n"
     "                        to stay away; 7 d at most. Otherwise what\n"
     "                        remains of --for, or maintenance.retry_after\n"
     "  -m, --message TEXT    for people, on the page that browsers get; not\n"
     "                        for backoff, which has none\n"
     "  -W, --wait DURATION   until it is on and no request is in Python any\n"
     "                        more, for so long at most: then the exit status\n"
     "                        is 1; with on and drain\n"
     "\n"
     "After off, the exit status is 1 when something else still keeps\n"
     "clients away. For programs, `weavectl status --json` has all of it.\n"},
    {"config", ctl_config, FOR_ALL, "jI",
     "show every key of INI and where it is set",
     "Reads INI (" CTL_DEFAULT_INI
     ") and what it extends; asks no weaved. What\n"
     "WeaveSet in httpd.conf says is not in it.\n"
     "\n"
     "      --json      for programs\n"},
    {"check", ctl_check, FOR_ALL, "I",
     "look for mistakes in INI without starting it",
     "Reads INI (" CTL_DEFAULT_INI
     ") and looks for what `apachectl configtest`\n"
     "would find in it: keys, values, virtualenv, script, engine, user.\n"},
    {"prove", ctl_prove, FOR_ALL, "RugI", NULL,
     "Starts one worker of the application of INI, as if `current` in its\n"
     "release.home led to a release, without an httpd, and says whether it\n"
     "comes up. `weavectl install` calls it.\n"
     "\n"
     "      --release PATH   the release\n"
     "      --user NAME      that the worker runs as, where root calls\n"
     "      --group NAME     the same; otherwise the user's own\n"},
    {"help", topic_show, FOR_ALL, "C", "show this text, or that of a command",
     ""},
    {"version", version_show, FOR_ALL, "", "show the version", ""},
};
#define COMMANDS (sizeof(commands) / sizeof(*commands))

static const apr_getopt_option_t options[] = {
    {"directory", 'd', 1, NULL}, {"ini", 'i', 1, NULL},
    {"state-dir", 's', 1, NULL}, {"help", 'h', 0, NULL},
    {"json", 'j', 0, NULL},      {"no-wait", 'w', 0, NULL},
    {"for", 'f', 1, NULL},       {"retry-after", 'r', 1, NULL},
    {"message", 'm', 1, NULL},   {"wait", 'W', 1, NULL},
    {"release", 'R', 1, NULL},   {"user", 'u', 1, NULL},
    {"group", 'g', 1, NULL},     {"version", 'V', 0, NULL},
    {NULL, 0, 0, NULL},
};
#define COMMON "dishV" /* letters of those that each command takes */
#define WORDS 4        /* COMMAND MODE INI, and one that is too many */

static const char general[] =
    "  -d, --directory DIR   the WeaveRuntimeDir of the httpd\n"
    "                        ($WEAVE_RUNTIME_DIR, or else " DEFAULT_DIR ")\n"
    "  -s, --state-dir DIR   the WeaveStateDir, where maintenance is kept\n"
    "                        ($WEAVE_STATE_DIR, or that of the httpd of -d,\n"
    "                        or else " WEAVE_STATE_DIR ")\n"
    "  -i, --ini INI         the sync.ini, as WeaveApp has it; the word INI\n"
    "                        (" CTL_DEFAULT_INI ", or all applications)\n"
    "  -h, --help            this text, or that of a command\n"
    "\n"
    "Exit status: 0 done, 1 it failed, 2 the command line is wrong.";

static int help_show(void)
{
    size_t i;

    puts("usage: weavectl [-d DIR] [-i INI] COMMAND [INI] [option ...]\n");
    for (i = 0; i < COMMANDS; i++)
        if (commands[i].help)
            ctl_line("  %-12s %s", commands[i].name, commands[i].help);
    puts("");
    ctl_releases_help();
    puts("");
    puts(general);
    return CTL_DONE;
}

static int command_takes(const struct command_t *command, int letter)
{
    return strchr(command->takes, letter) != NULL;
}

static int command_show(const struct command_t *command)
{
    ctl_line("usage: weavectl [-d DIR] [-i INI] %s%s [option ...]",
             command->name,
             command_takes(command, 'M')   ? " [MODE [INI]]"
             : command_takes(command, 'I') ? " [INI]"
             : command_takes(command, 'C') ? " [COMMAND]"
                                           : "");
    puts("");
    puts(*command->more ? command->more : command->help);
    puts(general);
    return CTL_DONE;
}

/* ---- the command line ---- */

static const struct command_t *command_find(const char *name)
{
    size_t i;

    for (i = 0; name && i < COMMANDS; i++)
        if (!strcmp(commands[i].name, name))
            return &commands[i];
    return NULL;
}

static int topic_show(const ctl_t *ctl)
{
    const struct command_t *command = command_find(ctl->topic);

    if (command)
        return command_show(command);
    return ctl->topic ? ctl_usage("there is no command %s", ctl->topic)
                      : help_show();
}

/* Returns the folder of the program itself, where the engines are; a link to
 * the program may lie elsewhere. */
static const char *own_folder_get(apr_pool_t *pool)
{
    char path[4096];
    ssize_t len = readlink("/proc/self/exe", path, sizeof(path) - 1);
    char *slash;

    if (len < 0)
        return ".";
    path[len] = '\0';
    slash = strrchr(path, '/');
    return slash ? apr_pstrmemdup(pool, path, (apr_size_t)(slash - path)) : ".";
}

/* Returns PATH as httpd has it: absolute, and its links are not followed. */
static const char *path_normalise(const char *path, apr_pool_t *pool)
{
    char *absolute;

    return path && apr_filepath_merge(&absolute, NULL, path, 0, pool) ==
                       APR_SUCCESS
               ? absolute
               : path;
}

/* Returns the option GIVEN, or else the variable NAME; NULL: neither. */
static const char *folder_get(const char *given, const char *name)
{
    const char *value = given ? given : getenv(name);

    return value && *value ? value : NULL;
}

/* The value of each option by its letter; NULL: it is not given. */
typedef const char *given_t[UCHAR_MAX + 1];

static void options_take(ctl_t *ctl, const given_t given)
{
    ctl->dir = folder_get(given['d'], "WEAVE_RUNTIME_DIR");
    ctl->dir_given = ctl->dir != NULL;
    if (!ctl->dir)
        ctl->dir = DEFAULT_DIR;
    ctl->state_dir =
        path_normalise(folder_get(given['s'], "WEAVE_STATE_DIR"), ctl->pool);
    ctl->libdir = own_folder_get(ctl->pool);
    ctl->ini = path_normalise(given['i'], ctl->pool);
    ctl->json = given['j'] != NULL;
    ctl->no_wait = given['w'] != NULL;
    ctl->lasts = given['f'];
    ctl->message = given['m'];
    ctl->retry_after = given['r'];
    ctl->wait = given['W'];
    ctl->release = given['R'];
    ctl->user = given['u'];
    ctl->group = given['g'];
}

/* Reads the options, which may stand anywhere, and returns the other words. */
static apr_status_t line_parse(given_t given, const char **words, int *count,
                               int argc, const char *const *argv,
                               apr_pool_t *pool)
{
    apr_getopt_t *state;
    const char *value = NULL;
    apr_status_t rv;
    int letter;

    apr_getopt_init(&state, pool, argc, argv);
    state->interleave = 1;
    state->errfn = ctl_option_error;
    while ((rv = apr_getopt_long(state, options, &letter, &value)) ==
           APR_SUCCESS)
        given[letter] = value ? value : "";
    for (*count = 0; state->ind < argc && *count < WORDS; state->ind++)
        words[(*count)++] = state->argv[state->ind];
    return APR_STATUS_IS_EOF(rv) ? APR_SUCCESS : rv;
}

/* Refuses the options that only other commands take. */
static int options_check(const struct command_t *command, const given_t given)
{
    const apr_getopt_option_t *option = options;

    for (; option->name; option++)
        if (given[option->optch] && !strchr(COMMON, option->optch) &&
            !command_takes(command, option->optch))
            return ctl_usage("%s does not take --%s", command->name,
                             option->name);
    return CTL_DONE;
}

/* Says that WORD is the unit of a duration before it, which is only a number.
 * Returns CTL_DONE where it is none. */
static int unit_check(const ctl_t *ctl, const char *word)
{
    static const char *const units[] = {"us", "ms", "s", "m", "min", "h", "d"};
    const struct {
        const char *option, *value;
    } durations[] = {{"for", ctl->lasts},
                     {"retry-after", ctl->retry_after},
                     {"wait", ctl->wait}};
    size_t i, unit = 0;

    while (unit < sizeof(units) / sizeof(*units) && strcmp(units[unit], word))
        unit++;
    if (unit == sizeof(units) / sizeof(*units))
        return CTL_DONE;
    for (i = 0; i < sizeof(durations) / sizeof(*durations); i++) {
        const char *value = durations[i].value;

        if (value && *value && !value[strspn(value, "0123456789")])
            return ctl_usage("--%s %s %s is two words: write '%s %s' or %s%s",
                             durations[i].option, value, word, value, word,
                             value, word);
    }
    return CTL_DONE;
}

/* Takes the words behind the command: MODE, then INI, as far as it has them. */
static int words_take(ctl_t *ctl, const struct command_t *command,
                      const char *const *words, int count)
{
    int next = 1;

    if (command_takes(command, 'M') && next < count)
        ctl->mode = words[next++];
    if (command_takes(command, 'C') && next < count)
        ctl->topic = words[next++];
    if (command_takes(command, 'I') && next < count) {
        const char *word = words[next++];
        const char *ini = path_normalise(word, ctl->pool);

        if (unit_check(ctl, word) != CTL_DONE)
            return CTL_USAGE;
        if (!*word)
            return ctl_usage("the INI is empty");
        if (ctl->ini && strcmp(ini, ctl->ini))
            return ctl_usage("-i names another INI than %s", word);
        ctl->ini = ini;
    }
    if (next == count || unit_check(ctl, words[next]) != CTL_DONE)
        return next == count ? CTL_DONE : CTL_USAGE;
    return ctl_usage("%s is one word too many", words[next]);
}

/* Finds what a script gives when one of its variables is not set. */
static int is_empty(const char *value)
{
    return value && !*value;
}

/* Says so first where this user has no right to COMMAND, which with a MODE
 * changes something. Returns CTL_FAILED where nothing is to be done then. */
static int rights_check(const ctl_t *ctl, const struct command_t *command,
                        int has_mode)
{
    const char *why =
        command->rights == FOR_ALL ? NULL : ctl_rights_why_not(ctl);

    if (!why)
        return CTL_DONE;
    ctl_say("%s%s needs root or the user that starts httpd: %s", command->name,
            has_mode ? " MODE" : "", why);
    return command->rights == SHOWN && !has_mode ? CTL_DONE : CTL_FAILED;
}

static int line_run(int argc, const char *const *argv, apr_pool_t *pool)
{
    ctl_t ctl = {.pool = pool};
    given_t given = {0};
    const char *words[WORDS] = {0};
    const struct command_t *command;
    int count;

    if (ctl_release_find(argc, argv, options))
        return ctl_release_run(argc, argv, own_folder_get(pool), pool);
    if (line_parse(given, words, &count, argc, argv, pool) != APR_SUCCESS)
        return CTL_USAGE; /* APR has said why */
    command = command_find(words[0]);
    if (given['V'])
        return version_show(NULL);
    if (given['h'] && !words[0])
        return help_show();
    if (!words[0]) {
        help_show();
        return CTL_USAGE;
    }
    if (!command)
        return ctl_usage("there is no command %s", words[0]);
    if (given['h'])
        return command_show(command);
    if (is_empty(given['d']) || is_empty(given['s']))
        return ctl_usage("the DIR is empty");
    options_take(&ctl, given);
    if (rights_check(&ctl, command, command_takes(command, 'M') && words[1]) !=
        CTL_DONE)
        return CTL_FAILED;
    if (options_check(command, given) != CTL_DONE ||
        words_take(&ctl, command, words, count) != CTL_DONE)
        return CTL_USAGE;
    if (is_empty(given['i']))
        return ctl_usage("the INI is empty");
    return command->run(&ctl);
}

/* Mends what the caller has left us. A file of ours in the place of a standard
 * descriptor that is closed would get what we print; and where SIGCHLD is
 * ignored, it is not known how programs end. */
static int process_settle(void)
{
    sigset_t none;
    int fd;

    do {
        fd = open("/dev/null", O_RDWR);
    } while (fd >= 0 && fd <= STDERR_FILENO);
    if (fd >= 0)
        close(fd);
    signal(SIGCHLD, SIG_DFL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    return fd;
}

int main(int argc, const char *const *argv)
{
    apr_pool_t *pool;
    int rc = CTL_FAILED;

    if (process_settle() < 0 || apr_initialize() != APR_SUCCESS)
        return rc;
    if (apr_pool_create(&pool, NULL) == APR_SUCCESS) {
        apr_pool_tag(pool, "weavectl");
        rc = line_run(argc, argv, pool);
    }
    apr_terminate();
    return rc;
}
