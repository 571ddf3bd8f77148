# SPDX-License-Identifier: Apache-2.0
#
# Ways to a mount through other modules of httpd: each leads to the application,
# with the environ of its own path, and past no check of that path.

use strict;
use warnings FATAL => 'all';
use Digest::SHA qw(sha1_hex);
use Test::More;
use WeaveTest;
use WeaveTest::H2 ();

my $redirects = root() . '/htdocs/redirects';
mkdir $_ for $redirects, map { "$redirects/$_" } qw(index index_redirect fallback input
    rewritten pages refused guarded only_get denied maintained limited set);
spew("$redirects/fallback/file.txt", "a file\n");
spew("$redirects/pages/$_->[0].html", qq((<!--#include virtual="$_->[1]" -->)\n))
    for [environ => '/sub/environ/included?q=2'], [input => '/sub/input/digest'],
    [guarded    => '/sub/guarded/environ'], [denied => '/sub/denied'],
    [maintained => '/sub/maintained'], [dir => '/redirects/index/'];

# A request at the host "redirects", below /redirects.
sub ask {
    my ($method, $path, %opt) = @_;
    return request($method, "/redirects/$path", site => 'redirects', %opt);
}

sub digest { return sprintf '[%d, "%s"]', length $_[0], sha1_hex($_[0]) }

sub environ { return JSON::PP->new->decode($_[0]->body) }

# Asserts what the application was told.
sub is_told {
    my ($name, $res, %want) = @_;
    my $env = eval { environ($res) } || {};
    $env->{$_} = '(none)' for grep { !exists $env->{$_} } keys %want;
    is_deeply { map { ($_ => $env->{$_}) } keys %want }, \%want, $name
        or diag $res->status, ' ', $res->body;
}

my %RIGHT = (SCRIPT_NAME => '/sub', QUERY_STRING => 'q=1%20a');

subtest 'DirectoryIndex' => sub {
    for my $method (qw(GET POST PUT OPTIONS)) {
        is_told($method, ask($method, 'index/?q=1%20a', body => 'abc'), %RIGHT,
            REQUEST_METHOD => $method, PATH_INFO => '/environ/the index',
            REQUEST_URI => '/redirects/index/?q=1%20a', CONTENT_LENGTH => 3);
    }
    is ask('HEAD', 'index/')->status, 200, 'HEAD';
    my $res = ask('GET', 'index_redirect/');
    is $res->status, 302, 'DirectoryIndexRedirect';
    like $res->header('Location'), qr{/sub/environ/index$}, 'to the mount';
};

subtest 'FallbackResource' => sub {
    is ask('GET', 'fallback/file.txt')->body, "a file\n", 'a file is served';
    for my $method (qw(GET POST DELETE)) {
        is_told($method, ask($method, 'fallback/a//b?q=1%20a'), %RIGHT,
            REQUEST_METHOD => $method, PATH_INFO => '/environ',
            REQUEST_URI => '/redirects/fallback/a//b?q=1%20a');
    }
};

subtest 'what is no file' => sub {
    mkdir root() . '/htdocs/environ';
    spew(root() . '/htdocs/environ/file.txt', "a file\n");
    is get('/environ/file.txt', site => 'redirects')->body, "a file\n", 'a file is one';
    is_told($_, request($_, '/environ/x//y?q=1%20a', site => 'redirects'), %RIGHT,
        REQUEST_METHOD => $_, PATH_INFO => '/environ/x/y',
        SCRIPT_URL => '/environ/x/y', REQUEST_URI => '/environ/x//y?q=1%20a')
        for qw(GET POST);
};

subtest 'a rewrite in a directory' => sub {
    for my $method (qw(GET POST)) {
        is_told($method, ask($method, 'rewritten/a/b?q=1%20a'), %RIGHT,
            REQUEST_METHOD => $method, PATH_INFO => '/environ/a/b',
            REQUEST_URI => '/redirects/rewritten/a/b?q=1%20a');
    }
};

subtest 'ErrorDocument' => sub {
    is_told($_, ask($_, 'refused/x?q=1', body => 'abc'), SCRIPT_NAME => '/sub',
        PATH_INFO => '/environ/error', REQUEST_METHOD => 'GET',
        REDIRECT_REQUEST_METHOD => $_ eq 'GET' ? 'GET' : $_,
        REDIRECT_STATUS => 403)
        for qw(GET POST);
    expect_log(qr/AH01630/);
};

subtest 'a body' => sub {
    for my $size (3, 300_000) {
        my $res = ask('POST', 'input/x', body => 'x' x $size);
        is $res->body, digest('x' x $size), "of $size bytes arrives";
    }
    my $res = ask('POST', 'input/x', chunked => ['abc', 'def']);
    is $res->body, digest('abcdef'), 'a chunked one too';
    return if mpm() eq 'prefork';
    $res = WeaveTest::H2->new(port => port('redirects'))
        ->request('POST', '/redirects/input/x', body => 'x' x 100_000);
    is $res->{body}, digest('x' x 100_000), 'and one of HTTP/2'
        if $res->{status};
};

subtest 'include virtual' => sub {
    my ($text) = ask('GET', 'pages/environ.html?q=1')->body =~ /^\((.*)\)$/s;
    my $env = JSON::PP->new->decode($text);
    is_deeply [@$env{qw(SCRIPT_NAME PATH_INFO QUERY_STRING REQUEST_METHOD)}],
        ['/sub', '/environ/included', 'q=2', 'GET'], 'has its own path';
    like ask('GET', 'pages/dir.html')->body, qr{"PATH_INFO": *"/environ/the index"},
        'of a folder: its DirectoryIndex';
    my $client = client('redirects');
    for my $i (1, 2) {
        my $res = $client->request('POST', '/redirects/pages/input.html',
            body => 'the body of the page');
        is $res->body, '(' . digest('') . ")\n", "$i: does not get the body of the page";
    }
    is $client->request('GET', '/sub/hello')->body, 'Hello, world!',
        'which does no harm to the next request';
};

subtest 'Require' => sub {
    my @auth = (headers => [Authorization => 'Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==']);
    is ask('GET', 'guarded/')->status, 401, 'who does not say who he is';
    is_told('who does', ask('GET', 'guarded/', app => 'environ', @auth),
        REMOTE_USER => 'Aladdin', AUTH_TYPE => 'Basic');
    is ask('GET', 'only_get/x', app => 'environ')->status, 200, 'a method that may';
    is ask('POST', 'only_get/x', app => 'environ')->status, 403,
        'one that may not, though mod_dir asks with GET';
    is ask('GET', $_, app => 'hello')->status, 403, "$_: nobody"
        for qw(denied/ denied/x);
    for my $page (qw(guarded denied)) {
        like ask('GET', "pages/$page.html", app => 'environ')->body,
            qr/an error occurred/, "$page: nor a page that includes it";
    }
    expect_log(qr/AH01630|unable to include/);
};

subtest 'WeaveMaintenance' => sub {
    for my $path (qw(maintained/x maintained/)) {
        # mod_dir looks first, as who asks: a 401 says nothing of the application
        is ask('GET', $path, app => 'hello')->status, 401, "$path: no name";
        my $res = ask('GET', $path, app => 'hello', headers =>
                [Authorization => 'Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==']);
        is $res->status, 503, "$path: 503";
        ok $res->header('Retry-After'), 'with Retry-After';
    }
    unlike ask('GET', 'pages/maintained.html', app => 'hello', headers =>
            [Authorization => 'Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=='])->body,
        qr/Hello/, 'included: not the application';
};

subtest 'LimitRequestBody, WeaveSet' => sub {
    is ask('POST', 'limited/x', app => 'input', body => 'x' x $_->[0])->status,
        $_->[1], "$_->[0] bytes: $_->[1]"
        for [100, 200], [101, 413];
    expect_log(qr/AH01587|AH01588|larger than the configured limit/);
    is_told('that of the Location', ask('GET', 'set/x', app => 'environ'),
        GREETING => 'hello from the Location');
};

finish;
