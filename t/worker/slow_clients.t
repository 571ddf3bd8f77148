# SPDX-License-Identifier: Apache-2.0
#
# Slow clients hold threads of httpd, never those of a worker.

use strict;
use warnings FATAL => 'all';
use Test::More;
use WeaveTest;
use WeaveTest::Workers;

my $httpd = new_httpd(workers => "processes = 1\nthreads = 2\n");
serves($httpd, 1);

sub others {
    my $name = shift;
    is $httpd->get('/who')->status, 200, "$name: others are served" for 1 .. 5;
}

subtest 'slow uploads' => sub {
    my @slow = map { $httpd->client } 1 .. 6;
    $_->send("POST /read HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n"
            . "Connection: close\r\n\r\nbegin") for @slow;
    others('while they come');
    $_->send('-end') for @slow;
    is $_->response->body, 9, 'then each is read' for @slow;
};

subtest 'slow readers' => sub {
    my @slow = map { $httpd->client } 1 .. 6;
    $_->send("GET /large HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        for @slow;
    ok $_->readable(60), 'the answer begins' for @slow;
    others('while they do not read');
    for my $client (@slow) {
        my $res = $client->response;
        ok $res->complete && length $res->body == 8 << 20, 'then each is whole';
    }
};

ok defined $httpd->stop, 'httpd stops';
$httpd->no_crash;
finish;
