# SPDX-License-Identifier: Apache-2.0
#
# limits.request_timeout: the client is answered, the worker replaced.

use strict;
use warnings FATAL => 'all';
use Test::More;
use Time::HiRes qw(sleep time);
use WeaveTest;
use WeaveTest::Workers;

my $TIMEOUT = 2;

my $httpd = new_httpd(
    workers => "processes = 1\nthreads = 3\n",
    limits  => "request_timeout = $TIMEOUT\nqueue_timeout = 30\n",
    expect  => qr/WEAVE00(?:71|72|73|75|76|79|99)|WEAVE0136|$STACKS/);
$httpd->log->allow_crash;

# A request that takes too long, and another one that begins a second later and
# ends when the first one is over its time. What is seen says nothing where the
# machine was so slow that the other one may have been over its own.
sub stuck_beside_another {
    my $go    = $httpd->dir . '/go-' . new_note();
    my %seen  = (pid => (serves($httpd, 1))[0]);
    my $begin = time;
    my ($stuck) = in_flight($httpd, 'GET', '/sleep?s=60');
    sleep 1;
    my $due = time + $TIMEOUT;
    my ($other, $pid) = in_flight($httpd, 'GET', "/hold?until=$go");
    $seen{log} = $httpd->logged([qr/WEAVE0071/, qr/WEAVE0099/, qr/in sleep/], sub {
        $seen{stuck} = $stuck->response->status;
        $seen{took}  = time - $begin;
        spew($go, '');
        $seen{other}   = $other->response;
        $seen{in_time} = time < $due && ($pid || 0) == $seen{pid};
    });
    return \%seen;
}

subtest 'a request that takes too long' => sub {
    my $seen;
    for (1 .. 5) {
        $seen = stuck_beside_another();
        last if $seen->{in_time};
        diag 'once more: this machine is slow';
        ok gone($seen->{pid}), 'this worker is gone';
    }
    is $seen->{stuck}, 504, 'a 504';
    cmp_ok $seen->{took}, '>', $TIMEOUT - 0.1, 'not before its time';
    cmp_ok $seen->{took}, '<', $TIMEOUT + 9, 'and soon after it, by the worker';
    like $seen->{log}, qr{weave:error WEAVE0099.*GET /sleep}, 'it is named';
    like $seen->{log}, qr/File ".*workers\.wsgi", line \d+ in sleep/m,
        'with the stacks of the threads';
    my $pid = $seen->{pid};
    is $seen->{other}->status, 200, 'what else it had is finished';
    like $seen->{other}->body, qr/^$pid /, 'by itself';
    ok gone($pid), 'it is gone then';
    like $httpd->get('/who')->body, qr/^\d+ /, 'another one goes on';
};

subtest 'the head is out' => sub {
    my ($pid) = serves($httpd, 1);
    my $res   = $httpd->get('/late?s=60');
    is $res->status, 200, 'the head had come';
    is substr($res->body, 0, 5), 'first', 'and what there was of the body';
    ok !$res->complete, 'then the connection is cut';
    ok gone($pid), 'the worker is gone';
};

subtest 'stuck in C, with the GIL' => sub {
    my ($pid) = serves($httpd, 1);
    my $begin = time;
    is $httpd->get('/in_c_for_ever')->status, 504, 'a 504';
    cmp_ok time - $begin, '<', $TIMEOUT + 9, 'by the worker: httpd waits longer';
    ok eventually(sub { $httpd->get('/who')->body =~ /^(?!$pid )\d+ / }),
        'another one goes on';
    ok gone($pid), 'it is killed';
};

ok defined $httpd->stop, 'httpd stops';
finish;
