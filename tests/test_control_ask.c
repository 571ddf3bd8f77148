/* SPDX-License-Identifier: Apache-2.0 */
/* test_control_ask.c: a question to weaved, and why there is no answer */

#include "conf_support.h"

#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "weave_control.h"

/* A weaved that says ANSWER to the first line of who connects to LISTENER. */
static pid_t weaved(int listener, const char *answer)
{
    pid_t pid = fork();

    if (pid == 0) {
        weave_control_t peer = {.fd = accept(listener, NULL, NULL)};
        json_t *message = NULL;
        int pass = -1, wrong;

        alarm(120);
        wrong = weave_control_receive(&peer, &message, &pass, 60000);
        wrong |= json_integer_value(json_object_get(message, "version")) !=
                 WEAVE_CONTROL_VERSION;
        wrong |= pass < 0;
        if (*answer)
            wrong |= write(peer.fd, answer, strlen(answer)) < 0;
        _exit(wrong);
    }
    return pid;
}

static int listen_at(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    apr_cpystrn(address.sun_path, path, sizeof(address.sun_path));
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(listen(fd, 1), 0);
    APR_ARRAY_PUSH(written, const char *) = path;
    return fd;
}

static apr_status_t asks(json_t **answer, char **problem, const char *path)
{
    json_t *request = json_pack("{s:s}", "op", "log");
    apr_status_t rv;

    *answer = NULL;
    *problem = NULL;
    rv = weave_control_ask(answer, problem, path, request, 0, 60000);
    assert_true(!rv == !!*answer);
    assert_true(!rv == !*problem);
    json_decref(request);
    return rv;
}

static void is_answered(void **state)
{
    const char *path = in_folder("weaved.sock");
    int listener = listen_at(path), status;
    pid_t pid = weaved(listener, "{\"ok\":true,\"n\":7}\n");
    json_t *answer;
    char *problem;

    (void)state;
    assert_int_equal(asks(&answer, &problem, path), 0);
    assert_int_equal(json_integer_value(json_object_get(answer, "n")), 7);
    json_decref(answer);
    waitpid(pid, &status, 0);
    assert_int_equal(status, 0);
    close(listener);
}

static void hears_why_not(void **state)
{
    static const char *const cases[][2] = {
        {"{\"ok\":false,\"error\":\"no such application\"}\n",
         "no such application"},
        {"{\"ok\":false}\n", "weaved gave no reason"},
        {"{}\n", "weaved gave no reason"},
        {"{\"ok\":1}\n", "weaved gave no reason"},
        {"rubbish\n", "answers what is no JSON"},
        {"", "closed the connection"},
    };
    const char *path = in_folder("weaved.sock");
    int listener = listen_at(path), status;
    size_t i;

    (void)state;
    for (i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        pid_t pid = weaved(listener, cases[i][0]);
        json_t *answer;
        char *problem;

        assert_int_not_equal(asks(&answer, &problem, path), 0);
        if (!strstr(problem, cases[i][1]))
            fail_msg("'%s' is not in '%s'", cases[i][1], problem);
        free(problem);
        waitpid(pid, &status, 0);
        assert_int_equal(status, 0);
    }
    close(listener);
}

static void explains(const char *path, const char *why)
{
    json_t *answer;
    char *problem;

    assert_int_not_equal(asks(&answer, &problem, path), 0);
    if (!strstr(problem, why))
        fail_msg("'%s' is not in '%s'", why, problem);
    if (!strstr(problem, path))
        fail_msg("'%s' is not in '%s'", path, problem);
    free(problem);
}

static void says_who_is_not_there(void **state)
{
    const char *path = in_folder("weaved.sock");
    char longer[200];

    (void)state;
    explains(path, "no weaved listens at");
    close(listen_at(path));
    explains(path, "no weaved listens at");
    memset(longer, 'x', sizeof(longer) - 1);
    longer[0] = '/';
    longer[sizeof(longer) - 1] = '\0';
    explains(longer, "too long");
}

/* Somebody else listens in a folder of root's, or root in that of another. */
static void says_who_is_no_weaved(void **state)
{
    const char *path = in_folder("weaved.sock");
    int listener = listen_at(path), i;

    (void)state;
    if (geteuid() != 0) {
        close(listener);
        skip();
    }
    for (i = 0; i < 2; i++) {
        assert_int_equal(chown(folder, i ? 0 : 65534, (gid_t)-1), 0);
        if (i) {
            assert_int_equal(seteuid(65534), 0);
            assert_int_equal(listen(listener, 1), 0);
            assert_int_equal(seteuid(0), 0);
        }
        explains(path, "is no weaved");
    }
    close(listener);
}

static void says_who_is_silent(void **state)
{
    const char *path = in_folder("weaved.sock");
    int listener = listen_at(path);
    json_t *request = json_object(), *answer = NULL;
    char *problem = NULL;

    (void)state;
    assert_int_equal(
        weave_control_ask(&answer, &problem, path, request, -1, 20),
        APR_EAGAIN);
    assert_non_null(strstr(problem, "does not answer"));
    free(problem);
    json_decref(request);
    close(listener);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        each(is_answered),           each(hears_why_not),
        each(says_who_is_not_there), each(says_who_is_no_weaved),
        each(says_who_is_silent),
    };

    return run_each(tests);
}
