/* SPDX-License-Identifier: Apache-2.0 */
/* main.c: weavectl, the command */
#include "ctl.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <apr_general.h>
#include <apr_getopt.h>
#include <apr_strings.h>

#include "weave_control.h"
#include "weave_version.h"

#define DEFAULT_INI "/etc/sync.ini"
#define DEFAULT_DIR "/run/weave"

static int show_version(const ctl_t *ctl)
{
    (void)ctl;
    puts("weavectl (mod_weave) " WEAVE_VERSION);
    return CTL_DONE;
}

static const struct command_t {
    const char *name;
    int (*run)(const ctl_t *);
    const char *takes; /* options of its own, letters; and 'I': an INI */
    const char *help, *more;
} commands[] = {
    {"reload", ctl_reload, "wI", "start new workers with the code as it is now",
     "Asks weaved for a new generation of the application of INI, or of all\n"
     "applications, and waits until it serves or has failed. No request is\n"
     "lost: the old workers go on until the new ones are ready, and also when\n"
     "those do not come up.\n"
     "\n"
     "      --no-wait   return at once\n"},
    {"status", ctl_status, "jI", "show generations and workers",
     "Shows what weaved runs: of the application of INI, or of all.\n"
     "\n"
     "      --json      for programs\n"},
    {"config", ctl_config, "jI", "show every key of INI and where it is set",
     "Reads INI (" DEFAULT_INI ") and what it extends; asks no weaved. What\n"
     "WeaveSet in httpd.conf says is not in it.\n"
     "\n"
     "      --json      for programs\n"},
    {"check", ctl_check, "I", "look for mistakes in INI without starting it",
     "Reads INI (" DEFAULT_INI ") and looks for what `apachectl configtest`\n"
     "would find in it: keys, values, virtualenv, script, engine, user.\n"},
    {"version", show_version, "", "show the version", ""},
};
#define COMMANDS (sizeof(commands) / sizeof(*commands))

static const apr_getopt_option_t options[] = {
    {"directory", 'd', 1, NULL}, {"ini", 'i', 1, NULL},
    {"help", 'h', 0, NULL},      {"json", 'j', 0, NULL},
    {"no-wait", 'w', 0, NULL},   {"version", 'V', 0, NULL},
    {NULL, 0, 0, NULL},
};

static const char general[] =
    "  -d, --directory DIR   the folder of weaved's sockets, as httpd.conf\n"
    "                        has in WeaveRuntimeDir ($WEAVE_RUNTIME_DIR, or\n"
    "                        else " DEFAULT_DIR ")\n"
    "  -i, --ini FILE        the sync.ini (" DEFAULT_INI ")\n"
    "  -h, --help            this text, or that of a command\n"
    "\n"
    "Exit status: 0 done, 1 it failed, 2 the command line is wrong.\n";

static int show_help(void)
{
    size_t i;

    puts("usage: weavectl [-d DIR] [-i INI] COMMAND [INI] [option ...]\n");
    for (i = 0; i < COMMANDS; i++)
        printf("  %-9s %s\n", commands[i].name, commands[i].help);
    printf("\n%s", general);
    return CTL_DONE;
}

static int show_command(const struct command_t *command)
{
    printf("usage: weavectl [-d DIR] [-i INI] %s%s [option ...]\n\n%s\n%s",
           command->name, strchr(command->takes, 'I') ? " [INI]" : "",
           command->more, general);
    return CTL_DONE;
}

/* ---- what commands share ---- */

int ctl_say(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    fputs("weavectl: ", stderr);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
    return CTL_FAILED;
}

json_t *ctl_ask(const ctl_t *ctl, json_t *request)
{
    json_t *answer = NULL;
    char *problem = NULL;
    apr_status_t rv = weave_control_ask(&answer, &problem, ctl->socket, request,
                                        -1, CTL_ASK_MS);

    json_decref(request);
    if (rv != APR_SUCCESS)
        ctl_say("%s", problem);
    free(problem);
    return answer;
}

json_int_t ctl_int(const json_t *object, const char *key)
{
    return json_integer_value(json_object_get(object, key));
}

const char *ctl_text(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));

    return text ? text : "";
}

const json_t *ctl_list(const json_t *object, const char *key)
{
    return json_object_get(object, key);
}

/* ---- the command line ---- */

static int usage(const char *format, const char *what)
{
    fputs("weavectl: ", stderr);
    fprintf(stderr, format, what);
    fputs("; `weavectl --help` lists what there is\n", stderr);
    return CTL_USAGE;
}

static const struct command_t *command_find(const char *name)
{
    size_t i;

    for (i = 0; name && i < COMMANDS; i++)
        if (!strcmp(commands[i].name, name))
            return &commands[i];
    return NULL;
}

/* Engines are beside the program; a link to it lies elsewhere. */
static const char *own_folder(apr_pool_t *pool)
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

static void settle(ctl_t *ctl)
{
    const char *dir = getenv("WEAVE_RUNTIME_DIR");
    char *real;

    if (!ctl->dir)
        ctl->dir = dir && *dir ? dir : DEFAULT_DIR;
    ctl->socket =
        apr_pstrcat(ctl->pool, ctl->dir, "/" WEAVE_CONTROL_SOCKET, NULL);
    ctl->libdir = own_folder(ctl->pool);
    ctl->ini_given = ctl->ini != NULL;
    if (!ctl->ini)
        ctl->ini = DEFAULT_INI;
    real = realpath(ctl->ini, NULL);
    if (real)
        ctl->ini = apr_pstrdup(ctl->pool, real);
    free(real);
}

typedef struct {
    ctl_t ctl;
    int help, version;
    const char *wrong; /* option that is none */
    char used[8];      /* letters of commands' own options */
} line_t;

static void take(line_t *line, int letter, const char *value)
{
    switch (letter) {
    case 'd':
        line->ctl.dir = value;
        break;
    case 'i':
        line->ctl.ini = value;
        break;
    case 'h':
        line->help = 1;
        break;
    case 'V':
        line->version = 1;
        break;
    case 'j':
        line->ctl.json = 1;
        strncat(line->used, "j", 2);
        break;
    case 'w':
        line->ctl.no_wait = 1;
        strncat(line->used, "w", 2);
        break;
    default:
        break;
    }
}

/* Options may stand anywhere; what is left are words. */
static apr_status_t parse(line_t *line, int argc, const char *const *argv,
                          const char **words, int *count)
{
    apr_getopt_t *state;
    const char *value;
    apr_status_t rv;
    int letter;

    apr_getopt_init(&state, line->ctl.pool, argc, argv);
    state->interleave = 1;
    while ((rv = apr_getopt_long(state, options, &letter, &value)) ==
           APR_SUCCESS)
        if (!strchr(line->used, letter) || letter == 'd' || letter == 'i')
            take(line, letter, value);
    for (*count = 0; state->ind < argc && *count < 3; state->ind++)
        words[(*count)++] = state->argv[state->ind];
    return APR_STATUS_IS_EOF(rv) ? APR_SUCCESS : rv;
}

static int run(int argc, const char *const *argv, apr_pool_t *pool)
{
    line_t line = {.ctl = {.pool = pool}};
    const char *words[3] = {NULL, NULL, NULL};
    const struct command_t *command;
    int count;

    if (parse(&line, argc, argv, words, &count) != APR_SUCCESS)
        return CTL_USAGE; /* APR has said why */
    command = command_find(words[0]);
    if (line.version)
        return show_version(NULL);
    if (line.help && !words[0])
        return show_help();
    if (!words[0])
        return usage("%s", "which command");
    if (!command)
        return usage("there is no command %s", words[0]);
    if (line.help)
        return show_command(command);
    if (strspn(line.used, command->takes) != strlen(line.used))
        return usage("%s does not take that option", command->name);
    if (count > (strchr(command->takes, 'I') ? 2 : 1))
        return usage("%s is one word too many", words[count - 1]);
    if (words[1])
        line.ctl.ini = words[1];
    settle(&line.ctl);
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
        rc = run(argc, argv, pool);
    }
    apr_terminate();
    return rc;
}
