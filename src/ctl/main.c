/* SPDX-License-Identifier: Apache-2.0 */
/* main.c: reads the command line of weavectl, and runs the command */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <apr_general.h>
#include <apr_getopt.h>
#include <apr_strings.h>

#include "call.h"
#include "commands.h"
#include "folder.h"
#include "say.h"
#include "weave_maintenance.h"
#include "weave_version.h"

#define DEFAULT_INI "/etc/sync.ini"
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
    const char *help, *more;
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
     "Reads INI (" DEFAULT_INI ") and what it extends; asks no weaved. What\n"
     "WeaveSet in httpd.conf says is not in it.\n"
     "\n"
     "      --json      for programs\n"},
    {"check", ctl_check, FOR_ALL, "I",
     "look for mistakes in INI without starting it",
     "Reads INI (" DEFAULT_INI ") and looks for what `apachectl configtest`\n"
     "would find in it: keys, values, virtualenv, script, engine, user.\n"},
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
    {"version", 'V', 0, NULL},   {NULL, 0, 0, NULL},
};
#define OPTIONS (sizeof(options) / sizeof(*options))
#define WORDS 4 /* COMMAND MODE INI, and one that is too many */

static const char general[] =
    "  -d, --directory DIR   the WeaveRuntimeDir of the httpd\n"
    "                        ($WEAVE_RUNTIME_DIR, or else " DEFAULT_DIR ")\n"
    "  -s, --state-dir DIR   the WeaveStateDir, where maintenance is kept\n"
    "                        ($WEAVE_STATE_DIR, or that of the httpd of -d,\n"
    "                        or else " WEAVE_STATE_DIR ")\n"
    "  -i, --ini INI         the sync.ini, as WeaveApp has it; the word INI\n"
    "                        (" DEFAULT_INI ", or all applications)\n"
    "  -h, --help            this text, or that of a command\n"
    "\n"
    "Exit status: 0 done, 1 it failed, 2 the command line is wrong.";

static int help_show(void)
{
    size_t i;

    puts("usage: weavectl [-d DIR] [-i INI] COMMAND [INI] [option ...]\n");
    for (i = 0; i < COMMANDS; i++)
        ctl_line("  %-12s %s", commands[i].name, commands[i].help);
    puts("");
    puts(general);
    return CTL_DONE;
}

static int command_takes(const struct command_t *command, char letter)
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

static const char *environment_get(const char *name)
{
    const char *value = getenv(name);

    return value && *value ? value : NULL;
}

/* Returns PATH as httpd has it: absolute, and its links are not followed. */
static const char *path_normalise(const char *path, apr_pool_t *pool)
{
    char *absolute;

    return apr_filepath_merge(&absolute, NULL, path, 0, pool) == APR_SUCCESS
               ? absolute
               : path;
}

static void folders_resolve(ctl_t *ctl)
{
    if (!ctl->dir)
        ctl->dir = environment_get("WEAVE_RUNTIME_DIR");
    ctl->dir_given = ctl->dir != NULL;
    if (!ctl->dir)
        ctl->dir = DEFAULT_DIR;
    if (!ctl->state_dir)
        ctl->state_dir = environment_get("WEAVE_STATE_DIR");
    if (ctl->state_dir)
        ctl->state_dir = path_normalise(ctl->state_dir, ctl->pool);
    ctl->libdir = own_folder_get(ctl->pool);
}

static void ini_resolve(ctl_t *ctl)
{
    ctl->ini_given = ctl->ini != NULL;
    ctl->ini = path_normalise(ctl->ini ? ctl->ini : DEFAULT_INI, ctl->pool);
}

typedef struct {
    ctl_t ctl;
    int help, version;
    char used[OPTIONS]; /* letters of the options that only some have */
} line_t;

/* Takes the option LETTER. Remembers one that only some commands have. */
static void option_take(line_t *line, int letter, const char *value)
{
    ctl_t *ctl = &line->ctl;
    const struct {
        int letter, is_common;
        const char **text;
        int *flag;
    } targets[] = {
        {'d', 1, &ctl->dir, NULL},         {'i', 1, &ctl->ini, NULL},
        {'s', 1, &ctl->state_dir, NULL},   {'h', 1, NULL, &line->help},
        {'V', 1, NULL, &line->version},    {'j', 0, NULL, &ctl->json},
        {'w', 0, NULL, &ctl->no_wait},     {'f', 0, &ctl->lasts, NULL},
        {'m', 0, &ctl->message, NULL},     {'W', 0, &ctl->wait, NULL},
        {'r', 0, &ctl->retry_after, NULL},
    };
    size_t i = 0;

    while (targets[i].letter != letter)
        i++;
    if (targets[i].text)
        *targets[i].text = value;
    else
        *targets[i].flag = 1;
    if (!targets[i].is_common && !strchr(line->used, letter))
        line->used[strlen(line->used)] = (char)letter;
}

static const char *option_name(int letter)
{
    const apr_getopt_option_t *option = options;

    while (option->name && option->optch != letter)
        option++;
    return option->name;
}

/* Reads the options, which may stand anywhere, and returns the other words. */
static apr_status_t line_parse(line_t *line, int argc, const char *const *argv,
                               const char **words, int *count)
{
    apr_getopt_t *state;
    const char *value;
    apr_status_t rv;
    int letter;

    apr_getopt_init(&state, line->ctl.pool, argc, argv);
    state->interleave = 1;
    state->errfn = ctl_option_error;
    while ((rv = apr_getopt_long(state, options, &letter, &value)) ==
           APR_SUCCESS)
        option_take(line, letter, value);
    for (*count = 0; state->ind < argc && *count < WORDS; state->ind++)
        words[(*count)++] = state->argv[state->ind];
    return APR_STATUS_IS_EOF(rv) ? APR_SUCCESS : rv;
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
        const char *ini = words[next++];

        if (unit_check(ctl, ini) != CTL_DONE)
            return CTL_USAGE;
        if (ctl->ini && strcmp(path_normalise(ini, ctl->pool),
                               path_normalise(ctl->ini, ctl->pool)))
            return ctl_usage("-i names another INI than %s", ini);
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
    line_t line = {.ctl = {.pool = pool}};
    const char *words[WORDS] = {0};
    const struct command_t *command;
    int count, foreign;

    if (line_parse(&line, argc, argv, words, &count) != APR_SUCCESS)
        return CTL_USAGE; /* APR has said why */
    command = command_find(words[0]);
    if (line.version)
        return version_show(NULL);
    if (line.help && !words[0])
        return help_show();
    if (!words[0]) {
        help_show();
        return CTL_USAGE;
    }
    if (!command)
        return ctl_usage("there is no command %s", words[0]);
    if (line.help)
        return command_show(command);
    if (is_empty(line.ctl.dir) || is_empty(line.ctl.state_dir))
        return ctl_usage("%s", "the DIR is empty");
    folders_resolve(&line.ctl);
    if (rights_check(&line.ctl, command,
                     command_takes(command, 'M') && words[1]) != CTL_DONE)
        return CTL_FAILED;
    foreign = (unsigned char)line.used[strspn(line.used, command->takes)];
    if (foreign)
        return ctl_usage("%s",
                         apr_psprintf(pool, "%s does not take --%s",
                                      command->name, option_name(foreign)));
    if (words_take(&line.ctl, command, words, count) != CTL_DONE)
        return CTL_USAGE;
    if (is_empty(line.ctl.ini))
        return ctl_usage("%s", "the INI is empty");
    ini_resolve(&line.ctl);
    return command->run(&line.ctl);
}

int main(int argc, const char *const *argv)
{
    apr_pool_t *pool;
    int rc = CTL_FAILED;

    if (apr_initialize() != APR_SUCCESS)
        return rc;
    if (apr_pool_create(&pool, NULL) == APR_SUCCESS) {
        apr_pool_tag(pool, "weavectl");
        rc = line_run(argc, argv, pool);
    }
    apr_terminate();
    return rc;
}
