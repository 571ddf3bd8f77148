# SPDX-License-Identifier: Apache-2.0
#
# The environ: PEP 3333, "environ Variables", and what CGI (RFC 3875) says.

use strict;
use warnings FATAL => 'all';
use Test::More;
use WeaveTest;

my $port = port();

subtest 'CGI variables' => sub {
    my $env = json('/environ/x?a=1&b=%20', host => "localhost:$port");
    is $env->{REQUEST_METHOD}, 'GET', 'REQUEST_METHOD';
    is $env->{SCRIPT_NAME}, '', 'SCRIPT_NAME of a mount at / is empty';
    is $env->{PATH_INFO}, '/environ/x', 'PATH_INFO';
    is $env->{QUERY_STRING}, 'a=1&b=%20', 'QUERY_STRING is not decoded';
    is $env->{REQUEST_URI}, '/environ/x?a=1&b=%20', 'REQUEST_URI';
    is $env->{SERVER_NAME}, 'localhost', 'SERVER_NAME';
    is $env->{SERVER_PORT}, "$port", 'SERVER_PORT';
    is $env->{SERVER_PROTOCOL}, 'HTTP/1.1', 'SERVER_PROTOCOL';
    is $env->{REMOTE_ADDR}, '127.0.0.1', 'REMOTE_ADDR';
    like $env->{REMOTE_PORT}, qr/^\d+$/, 'REMOTE_PORT';
    like $env->{SERVER_SOFTWARE}, qr{^Apache}, 'SERVER_SOFTWARE';
    is $env->{HTTP_HOST}, "localhost:$port", 'HTTP_HOST';
    is $env->{GREETING}, 'hello from the ini', 'environ.NAME of the ini';
    is json('/environ')->{QUERY_STRING}, '', 'no query: an empty string';
    is json('/environ?')->{QUERY_STRING}, '', 'an empty query too';
    is json('/environ?')->{REQUEST_URI}, '/environ?',
        'which REQUEST_URI still shows';
};

subtest 'wsgi keys' => sub {
    my $env = json('/environ');
    is_deeply $env->{'wsgi.version'}, [1, 0], 'wsgi.version';
    is $env->{version_type}, 'tuple', 'is a tuple';
    is $env->{'wsgi.url_scheme'}, 'http', 'wsgi.url_scheme';
    is_deeply $env->{bool_types}, ['bool', 'bool', 'bool'],
        'multithread, multiprocess and run_once are booleans';
    my $threads = mpm() eq 'prefork' && mode() eq 'embedded' ? 0 : 1;
    is !!$env->{'wsgi.multithread'}, !!$threads, 'wsgi.multithread';
    ok $env->{'wsgi.multiprocess'}, 'wsgi.multiprocess';
    ok !$env->{'wsgi.run_once'}, 'wsgi.run_once';
    ok $env->{'wsgi.input_terminated'}, 'wsgi.input_terminated';
    ok exists $env->{'wsgi.file_wrapper'}, 'wsgi.file_wrapper';
    my %input  = map { $_ => 1 } @{ $env->{input} };
    my %errors = map { $_ => 1 } @{ $env->{errors} };
    ok $input{$_},  "wsgi.input has $_"  for qw(read readline readlines);
    ok $errors{$_}, "wsgi.errors has $_" for qw(write writelines flush);
    like $env->{'weave.ini'}, qr{/conf/sync\.ini$}, 'weave.ini';
};

subtest 'a plain dict of native strings' => sub {
    my $env = json('/environ?%C3%A9',
        headers => ['X-Raw' => "caf\xc3\xa9 \xff"]);
    is $env->{type}, 'dict', 'a dict, not a subclass';
    is_deeply $env->{odd},  [], 'every CGI key and value is a str';
    is_deeply $env->{wide}, [], 'with one character per byte';
    is $env->{HTTP_X_RAW}, "caf\xc3\xa9 \xff", 'bytes of headers are kept';
};

subtest 'headers' => sub {
    my $env = json('/environ', headers => [
        'X-Twice'      => 'one',
        'Cookie'       => 'a=1',
        'Proxy'        => 'http://evil.invalid/',
        'X-Twice'      => 'two',
        'Cookie'       => 'b=2',
        'X-Empty'      => '',
        'Accept'       => 'text/html',
        'Content-Type' => 'text/x-test',
    ]);
    like $env->{HTTP_X_TWICE}, qr/^one, ?two$/, 'repeated ones are joined';
    like $env->{HTTP_COOKIE}, qr/^a=1[,;] ?b=2$/,
        'two Cookie headers, which RFC 6265 forbids, as httpd joins them';
    ok !exists $env->{HTTP_PROXY}, 'Proxy is dropped (httpoxy)';
    is $env->{HTTP_X_EMPTY}, '', 'an empty one is there';
    is $env->{CONTENT_TYPE}, 'text/x-test', 'CONTENT_TYPE';
    ok !exists $env->{HTTP_CONTENT_TYPE}, 'not as HTTP_CONTENT_TYPE';
    ok !$env->{CONTENT_LENGTH}, 'no body: no CONTENT_LENGTH, or an empty one';
    is json('/environ', body => 'abc')->{CONTENT_LENGTH}, '3',
        'CONTENT_LENGTH';
    ok !exists json('/environ', body => 'abc')->{HTTP_CONTENT_LENGTH},
        'not as HTTP_CONTENT_LENGTH';
};

subtest 'a header with _ never shadows one with -' => sub {
    my $alone = json('/environ', headers => ['X_Forged' => 'evil']);
    ok !exists $alone->{HTTP_X_FORGED}, 'alone it is not seen';
    for my $order ([qw(X-User alice X_User evil)],
                   [qw(X_User evil X-User alice)]) {
        is json('/environ', headers => $order)->{HTTP_X_USER}, 'alice',
            "@$order";
    }
    my $env = json('/environ', headers => ['Content_Length' => '7']);
    ok !exists $env->{HTTP_CONTENT_LENGTH} && !$env->{CONTENT_LENGTH},
        'Content_Length is no length';
};

subtest 'the environ belongs to one request' => sub {
    for (1 .. 30) {
        my $env = json('/environ');
        is_deeply [$env->{leaked}, $env->{'wsgi.version'},
                   $env->{SERVER_NAME}],
            [[], [1, 0], 'localhost'], "request $_"
            or last;
    }
    my $client = client();
    $client->request('GET', '/environ', headers => ['X-Once' => 'yes']);
    unlike $client->request('GET', '/environ')->body, qr/HTTP_X_ONCE/,
        'nor does a header stay for the next one of the connection';
};

subtest 'WeaveSet' => sub {
    my $env = json('/environ/set');
    is $env->{GREETING}, 'hello from the Location', 'wins over the ini';
    is $env->{Added}, 'only here', 'adds a name';
    $env = json('/environ/set/deeper');
    is $env->{GREETING}, 'hello from deeper', 'the deeper Location wins';
    is $env->{Added}, 'only here', 'and inherits';
    $env = json('/environ');
    is $env->{GREETING}, 'hello from the ini', 'elsewhere nothing changes';
    ok !exists $env->{Added}, 'and nothing is added';
    is json('/environ', site => 'other')->{GREETING}, 'hello from the host',
        'in a virtual host';
};

subtest 'the interpreter' => sub {
    my $env  = json('/environ');
    my $venv = conf_var('weave_venv');
    is $env->{'sys.prefix'}, $venv, 'sys.prefix is the virtualenv';
    like $env->{'sys.executable'}, qr{^\Q$venv\E/bin/python},
        'sys.executable is its python';
};

finish;
