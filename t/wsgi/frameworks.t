# SPDX-License-Identifier: Apache-2.0
#
# Real frameworks, as far as this Python has them.

use strict;
use warnings FATAL => 'all';
use Test::More;
use WeaveTest;

my @type = (
    headers => ['Content-Type' => 'application/x-www-form-urlencoded']);
my @form = (@type, body => 'a=some+%C3%A9&b=2');

expect_log(qr/Not Found: /);
for my $name (qw(flask django pyramid falcon bottle)) {
    subtest $name => sub {
        my $at  = "/frameworks/$name";
        my $res = get("$at/hello/w%20rld");
        plan skip_all => $res->body if $res->status == 501;

        is $res->body, 'hello w rld', 'routing';
        is request('HEAD', "$at/hello/x")->status,
            $name eq 'falcon' ? 405 : 200, 'HEAD';
        is request('POST', "$at/form", @form)->body, "some \xc3\xa9", 'a form';
        is request('POST', "$at/form", @type, chunked => ['a=', 'b'])->body,
            'b', 'in chunks';
        is_deeply [map { /^(\w+=\d)/ } get("$at/cookies")
                ->header('Set-Cookie')], ['one=1', 'two=2'], 'cookies';
        $res = get("$at/stream");
        is $res->body, "part 0\npart 1\npart 2\n", 'a stream';
        ok $res->complete, 'whole';
        is get("$at/url")->body, "$at/hello/x", 'URLs below SCRIPT_NAME';
        is get("$at/missing")->status, 404, 'its own 404';
        unlike get("$at/missing")->body, qr/httpd's own words/,
            'with its own page';
        my $log = logged(qr/boom of $name/, sub {
            is get("$at/boom")->status, 500, 'an exception';
        });
        like $log, qr/ValueError: boom of $name/, 'is logged';
    };
}

subtest httpbin => sub {
    my $at  = '/frameworks/httpbin';
    my $res = get("$at/get?a=b");
    plan skip_all => $res->body if $res->status == 501;

    is json("$at/get?a=b")->{args}{a}, 'b', 'get';
    my $data = JSON::PP->new->decode(
        request('POST', "$at/post", body => '{"x": [1, 2]}',
            headers => ['Content-Type' => 'application/json'])->body);
    is_deeply $data->{json}, {x => [1, 2]}, 'post';
    $data = JSON::PP->new->decode(
        request('PUT', "$at/put", body => 'the body')->body);
    is $data->{data}, 'the body', 'put';
    is get("$at/status/418")->status, 418, 'status';
    is length get("$at/bytes/5000")->body, 5000, 'bytes';
    is length get("$at/stream-bytes/5000?chunk_size=100")->body, 5000,
        'stream-bytes';
    is scalar(() = get("$at/stream/20")->body =~ /\n/g), 20, 'stream';
    is get("$at/gzip")->header('Content-Encoding'), 'gzip', 'gzip';
    is get("$at/redirect-to?url=/x&status_code=307")->status, 307, 'redirect';
    my $drip = get("$at/drip?duration=0.2&numbytes=5&delay=0");
    is length $drip->body, 5, 'drip';
    is get("$at/basic-auth/u/p",
        headers => [Authorization => 'Basic dTpw'])->status, 200,
        'basic-auth sees the credentials';
};

finish;
