# SPDX-License-Identifier: Apache-2.0
#
# limits.request_timeout: the client is answered, the worker replaced.

use strict;
use warnings FATAL => 'all';
use Test::More;
use Time::HiRes qw(sleep time);
use WeaveTest;
use WeaveTest::Workers;

my $httpd = new_httpd(
    workers => "processes = 1\nthreads = 3\n",
    limits  => "request_timeout = 2\n",
    expect  => qr/WEAVE00(?:71|72|73|75|76|99)|WEAVE0136|$STACKS/);
$httpd->log->allow_crash;

subtest 'a request that takes too long' => sub {
    my ($pid) = serves($httpd, 1);
    my ($stuck) = in_flight($httpd, 'GET', '/sleep?s=30');
    sleep 1;
    my ($other) = in_flight($httpd, 'GET', '/sleep?s=1.5');
    my $begin = time;
    my $log   = $httpd->logged(qr/WEAVE0071/, sub {
        my $res = $stuck->response;
        is $res->status, 504, 'a 504';
        cmp_ok time - $begin, '<', 10, 'soon after its time';
    });
    like $log, qr{weave:error WEAVE0099.*GET /sleep}, 'it is named';
    like $log, qr/File ".*workers\.wsgi", line \d+ in sleep/m,
        'with the stacks of the threads';
    my $res = $other->response;
    is $res->status, 200, 'what else it had is finished';
    like $res->body, qr/^$pid /, 'by itself';
    like $httpd->get('/who')->body, qr/^(?!$pid )\d+ /, 'another one goes on';
    ok gone($pid), 'it is gone then';
};

subtest 'the head is out' => sub {
    my ($pid) = serves($httpd, 1);
    my $res   = $httpd->get('/late?s=30');
    is $res->status, 200, 'the head had come';
    is substr($res->body, 0, 5), 'first', 'and what there was of the body';
    ok !$res->complete, 'then the connection is cut';
    ok gone($pid), 'the worker is gone';
};

subtest 'stuck in C, with the GIL' => sub {
    my ($pid) = serves($httpd, 1);
    my $begin = time;
    is $httpd->get('/in_c_for_ever')->status, 504, 'a 504';
    cmp_ok time - $begin, '<', 12, 'soon after its time';
    ok eventually(sub { $httpd->get('/who')->body =~ /^(?!$pid )\d+ / }, 20),
        'another one goes on';
    ok gone($pid), 'it is killed';
};

ok defined $httpd->stop, 'httpd stops';
finish;
