# SPDX-License-Identifier: Apache-2.0
#
# The mount among the other parts of httpd.

use strict;
use warnings FATAL => 'all';
use Test::More;
use WeaveTest;

subtest 'static files' => sub {
    my $file = "a plain file of httpd\n";
    is get('/alias/plain.txt')->body, $file, 'an Alias wins over the mount';
    is get('/to-a-file')->body, $file, 'a rewrite to a file too';
    is get('/plain.txt', site => 'mounts')->body, $file,
        'and what is beside it is httpd\'s';
    is get('/alias/missing.txt')->status, 404, 'also when it is not there';
};

subtest 'rewriting' => sub {
    my $env = json('/rewritten/x?q=1');
    is $env->{PATH_INFO}, '/environ/from-rewrite/x',
        'PATH_INFO is what <Location> saw';
    is $env->{REQUEST_URI}, '/rewritten/x?q=1', 'REQUEST_URI stays raw';
    is $env->{QUERY_STRING}, 'q=1', 'the query stays';
};

subtest '<Location>' => sub {
    for my $path (qw(/denied /denied/ /denied/x //denied /./denied
        /x/../denied /%64enied /denied//x)) {
        is get($path, app => 'hello')->status, 403, "$path is refused";
    }
    is get('/denied-not', app => 'hello')->status, 200, 'but not its neighbour';
    expect_log(qr/AH01630/);
    my $res = get('/status-inside?auto');
    like $res->body, qr/^Total Accesses|^ServerVersion|Scoreboard/m,
        'a handler inside the mount wins';
};

subtest 'output filters' => sub {
    my $res = get('/deflated/many', app => 'iterables',
        headers => ['Accept-Encoding' => 'gzip']);
    is $res->header('Content-Encoding'), 'gzip', 'mod_deflate works on it';
    ok $res->complete, 'the compressed body is whole';
    require IO::Uncompress::Gunzip;
    my ($in, $out) = ($res->body, '');
    IO::Uncompress::Gunzip::gunzip(\$in, \$out);
    is $out, join('', map { "$_\n" } 0 .. 99999), 'and the same';
    logged(qr/ValueError: later/, sub {
        $res = get('/deflated/raise_later', app => 'iterables',
            headers => ['Accept-Encoding' => 'gzip']);
    });
    # mod_deflate may have kept all of it, the head too
    ok !$res->complete || $res->status == 502,
        'an answer that breaks off is cut through the filter';
};

subtest 'error pages' => sub {
    my $res = get('/headers/status/own_reason');
    is $res->body, 'body', 'an error of the application is its own';
    my $log = logged(qr/ValueError/, sub {
        $res = get('/exceptions/value_error');
    });
    is $res->body, "httpd's own words for 500", 'one of ours is httpd\'s';
};

subtest 'other modules' => sub {
    my $res = get('/environ/told');
    my $env = JSON::PP->new->decode($res->body);
    is $env->{TOLD_BY_HTTPD}, 'yes', 'SetEnv';
    is $env->{HTTP_X_TOLD}, 'in a header', 'RequestHeader';
    is $res->header('X-Answer-Told'), 'yes', 'Header';
    ok !exists json('/environ')->{TOLD_BY_HTTPD}, 'only where they stand';

    is get('/alias/page.shtml')->body, "(Hello, world!)\n",
        'a page of httpd includes an answer';
    $res = get('/refused');
    is $res->status, 200, 'an ErrorDocument of ours decides the status';
    $env = JSON::PP->new->decode($res->body);
    is $env->{PATH_INFO}, '/environ/error-page', 'has its own path';
    is $env->{REQUEST_URI}, '/refused', 'with the REQUEST_URI of the client';
    is $env->{REDIRECT_STATUS}, '403', 'and says why it is asked';
};

subtest 'LimitRequestBody' => sub {
    for my $body ([body => 'x' x 101], [chunked => ['x' x 60, 'x' x 60]]) {
        my $res = request('POST', '/limited/read_all', app => 'input', @$body);
        is $res->status, 413, "$body->[0]: too large is a 413";
    }
    is request('POST', '/limited/read_all', app => 'input', body => 'x' x 100)
        ->status, 200, 'as large as allowed is not';
    expect_log(qr/AH01587|AH01588|larger than the configured limit/);
};

subtest 'ranges' => sub {
    my $res = get('/hello', headers => [Range => 'bytes=0-4']);
    if ($res->status == 206) {
        is $res->body, 'Hello', 'served by httpd\'s filter';
        is $res->header('Content-Range'), 'bytes 0-4/13', 'rightly';
    }
    else {
        is $res->status, 200, 'or left alone';
        is $res->body, 'Hello, world!', 'whole';
    }
    spew(root() . '/htdocs/big.bin', join '', map { "$_\n" } 1 .. 50000);
    $res = get('/file_wrapper/offset?at=0', headers => [Range => 'bytes=2-5']);
    is substr($res->body, 0, 4), $res->status == 206 ? "2\n3\n" : "1\n2\n",
        'a file';
    $res = get('/iterables/generator', headers => [Range => 'bytes=0-0']);
    like $res->body, $res->status == 206 ? qr/^a$/ : qr/^abc$/, 'a stream too';
};

subtest 'methods' => sub {
    for my $method (qw(GET POST PUT DELETE PATCH OPTIONS REPORT WEIRD)) {
        my $res = request($method, '/environ');
        my $env = JSON::PP->new->decode($res->body);
        is $env->{REQUEST_METHOD}, $method, $method;
    }
};

finish;
