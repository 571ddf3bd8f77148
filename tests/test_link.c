/* SPDX-License-Identifier: Apache-2.0 */
/* test_link.c: links on the way of an application's paths, followed at one
 * moment, or as if one of them had been moved */

#include "conf_support.h"

#include "weave_conf.h"

static void link_make(const char *to, const char *name)
{
    unlink(in_folder(name));
    assert_int_equal(symlink(to, in_folder(name)), 0);
    APR_ARRAY_PUSH(written, const char *) = in_folder(name);
}

/* An application whose paths go through LINK. */
static const weave_conf_t *conf_make(const char *link)
{
    weave_conf_t *conf = NULL;
    const char *text = apr_psprintf(
        pool,
        "[wsgi]\nvirtualenv = \"%s\"\nscript = \"%s/app.wsgi\"\n"
        "python_path = \n    \"%s/lib\"\n    \"/usr/share\"\n"
        "environ.static = \"%s/static\"\nenviron.url = \"/a:%s\"\n"
        "environ.other = \"x%s/y\"\nenviron.more = \"%ser/y\"\n"
        "[workers]\nhome = \"%s\"\nenv.PATH = \"%s/bin:/bin:%s/sbin\"\n",
        link, link, link, link, link, link, link, link, link, link);

    weave_conf_parse(&conf, text, "keys", problems, pool);
    assert_non_null(conf);
    return conf;
}

static const char *member_get(const weave_conf_t *conf, const char *name)
{
    return weave_conf_member(weave_conf_environ(conf), name);
}

/* All paths of CONF, which has LINK, lead to TO now. */
static void leads_to(const weave_conf_t *conf, const char *to, const char *link)
{
    const apr_array_header_t *path =
        weave_conf_list(conf, WEAVE_WSGI_PYTHON_PATH);

    assert_string_equal(weave_conf_str(conf, WEAVE_WORKERS_HOME), to);
    assert_string_equal(APR_ARRAY_IDX(path, 0, const char *),
                        apr_pstrcat(pool, to, "/lib", NULL));
    assert_string_equal(APR_ARRAY_IDX(path, 1, const char *), "/usr/share");
    assert_string_equal(member_get(conf, "static"),
                        apr_pstrcat(pool, to, "/static", NULL));
    assert_string_equal(member_get(conf, "url"),
                        apr_pstrcat(pool, "/a:", to, NULL));
    assert_string_equal(member_get(conf, "other"),
                        apr_pstrcat(pool, "x", link, "/y", NULL));
    assert_string_equal(member_get(conf, "more"), in_folder("currenter/y"));
    assert_string_equal(weave_conf_member(weave_conf_env(conf), "PATH"),
                        apr_psprintf(pool, "%s/bin:/bin:%s/sbin", to, to));
}

static const char *conf_text(const weave_conf_t *conf)
{
    return weave_conf_text(conf, WEAVE_CONF_PROCESS, weave_conf_environ(conf),
                           pool);
}

/* python_path and home were what the link led to at any later moment. */
static void follows_all_at_once(void **state)
{
    const char *link = in_folder("current");
    const weave_conf_t *conf = conf_make(link), *now;

    (void)state;
    link_make("one", "current");
    now = weave_conf_follow(conf, NULL, 0, pool);
    leads_to(now, in_folder("one"), link);
    assert_string_equal(weave_conf_str(now, WEAVE_WSGI_VIRTUALENV), link);
    now = weave_conf_follow(conf, NULL, 1, pool);
    leads_to(now, in_folder("one"), link);
    assert_string_equal(weave_conf_str(now, WEAVE_WSGI_VIRTUALENV),
                        in_folder("one"));
    assert_string_equal(weave_conf_str(now, WEAVE_WSGI_SCRIPT),
                        in_folder("one/app.wsgi"));
    leads_to(conf, link, link);
}

static void follows_as_if_it_were_moved(void **state)
{
    /* it is not there; and it is reached by another path */
    const char *reached = in_folder("here/current"), *text;
    const weave_link_t link = {in_folder("current"), in_folder("one")};
    const weave_conf_t *conf = conf_make(reached), *now;

    (void)state;
    link_make(".", "here");
    now = weave_conf_follow(conf, &link, 0, pool);
    leads_to(now, in_folder("one"), reached);
    text = conf_text(now);
    link_make("another", "current");
    assert_string_equal(conf_text(weave_conf_follow(conf, &link, 0, pool)),
                        text);
    link_make("one", "current");
    assert_string_equal(conf_text(weave_conf_follow(conf, NULL, 0, pool)),
                        text);
}

static void follows_as_the_kernel_does(void **state)
{
    (void)state;
    link_make("loop", "loop");
    link_make("../../../..", "up");
    link_make("/usr/", "out");
    link_make("out/./", "twice");
    assert_string_equal(weave_link_follow(in_folder("loop/x"), NULL, pool),
                        in_folder("loop/x"));
    assert_string_equal(weave_link_follow(in_folder("up/x"), NULL, pool), "/x");
    assert_string_equal(weave_link_follow(in_folder("twice/x"), NULL, pool),
                        "/usr/x");
    assert_string_equal(weave_link_follow("//gone//./x/../y/", NULL, pool),
                        "/gone/y");
    assert_string_equal(weave_link_follow("", NULL, pool), "");
    assert_string_equal(weave_link_follow("/", NULL, pool), "/");
    assert_string_equal(weave_link_follow("no/path", NULL, pool), "no/path");
}

static void names_releases(void **state)
{
    (void)state;
    assert_string_equal(
        weave_release_name("/srv/releases/a/releases/b-1.0/bin", pool),
        "b-1.0");
    assert_string_equal(weave_release_name("/srv/releases/b-1.0", pool),
                        "b-1.0");
    assert_null(weave_release_name("/srv/releases/", pool));
    assert_null(weave_release_name("/srv/venv", pool));
    assert_null(weave_release_name(NULL, pool));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        each(follows_all_at_once),
        each(follows_as_if_it_were_moved),
        each(follows_as_the_kernel_does),
        each(names_releases),
    };

    return run_each(tests);
}
