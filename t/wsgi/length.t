# SPDX-License-Identifier: Apache-2.0
#
# PEP 3333, "Handling the Content-Length Header": a length that is wrong never
# makes a reply that looks right.

use strict;
use warnings FATAL => 'all';
use Test::More;
use WeaveTest;

my $WRONG = qr/:(?:error|warn) .*(?:Content-Length|length|short|long)/i;

for my $kind (qw(list generator written)) {
    subtest $kind => sub {
        my $res = get("/length/$kind?chunks=3&promised=30");
        is $res->header('Content-Length'), 30, 'a right length goes through';
        is $res->body, '0' x 10 . '1' x 10 . '2' x 10, 'with the body';

        my $log = logged($WRONG,
            sub { $res = get("/length/$kind?chunks=3&promised=40") });
        ok $kind eq 'list' ? $res->status == 502 : !$res->complete,
            'too short: a 502, or visibly cut where it has begun';
        like $log, $WRONG, 'and the log says it';

        my $client = client();
        $log = logged($WRONG, sub {
            $res = $client->request('GET',
                "/length/$kind?chunks=3&promised=25");
        });
        is $res->body, '0' x 10 . '1' x 10 . '2' x 5,
            'too long: what is over is not sent';
        like $log, $WRONG, 'and the log says it';
        is eval { $client->request('GET', '/hello')->body }
            || eval { get('/hello')->body }, 'Hello, world!',
            'the next answer is not mixed with it';
    };
}

subtest 'zero' => sub {
    my $res = get('/length/list?chunks=0&promised=0');
    is $res->header('Content-Length'), 0, 'is a length';
    ok $res->complete, 'and whole';
    my $log = logged($WRONG,
        sub { $res = get('/length/generator?chunks=1&promised=0') });
    is $res->body, '', 'a body beyond it is not sent';
};

subtest 'HEAD' => sub {
    my $client = client();
    my $res = $client->request('HEAD', '/length/list?chunks=1');
    is $res->status, 200, 'is served';
    is $res->header('Content-Length'), 10, 'with the length of the GET';
    $res = $client->request('HEAD', '/length/list?chunks=0&promised=1234');
    is $res->header('Content-Length'), 1234, 'or what the application says';
    $res = $client->request('HEAD', '/length/generator?chunks=50&size=100000');
    is $res->status, 200, 'a long body';
    is $client->request('GET', '/hello')->body, 'Hello, world!',
        'is not sent';
};

subtest 'statuses without a body' => sub {
    for my $status ('204 No Content', '304 Not Modified') {
        (my $arg = $status) =~ s/ /%20/g;
        for my $chunks (0, 1) {
            my $client = client();
            my $res;
            logged(undef, sub {
                $res = $client->request('GET',
                    "/length/list?chunks=$chunks&status=$arg");
            });
            is $res->status . ' ' . $res->reason, $status, $status;
            is $client->request('GET', '/hello')->body, 'Hello, world!',
                "with $chunks chunks: the connection goes on";
        }
    }
};

subtest 'a generator in HTTP/1.1' => sub {
    my $res = get('/length/generator?chunks=3');
    is $res->header('Transfer-Encoding'), 'chunked', 'is chunked';
    is $res->body, '0' x 10 . '1' x 10 . '2' x 10, 'and whole';
    $res = get('/length/generator?chunks=3&promised=30');
    is $res->header('Transfer-Encoding'), undef, 'unless its length is known';
};

finish;
