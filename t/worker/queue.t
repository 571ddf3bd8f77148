# SPDX-License-Identifier: Apache-2.0
#
# The queue of a worker: its length, and how long a request may wait there.

use strict;
use warnings FATAL => 'all';
use Test::More;
use Time::HiRes qw(sleep time);
use WeaveTest;
use WeaveTest::Workers;

my $httpd = new_httpd(
    workers => "processes = 1\nthreads = 1\n",
    limits  => "queue_length = 2\nqueue_timeout = 1\nbackoff = 9\n");
serves($httpd, 1);

sub ask {
    my $note   = shift;
    my $client = $httpd->client;
    $client->send(WeaveTest::Client::format_request(
        'POST', '/who', note => $note, close => 1, body => 'x'));
    return $client;
}

subtest 'a busy worker' => sub {
    my ($busy) = in_flight($httpd, 'GET', '/sleep?s=3');
    my $note   = new_note();
    my $begin  = time;
    my @queued = map { ask($note) } 1 .. 2;
    sleep 0.3;
    my $res = ask($note)->response;
    is $res->status, 503, 'a full queue refuses';
    cmp_ok time - $begin, '<', 0.95, 'at once';
    cmp_ok $res->header('Retry-After'), '>=', 1, 'with the time to come again';
    for my $client (@queued) {
        is $client->response->status, 503, 'too long in the queue';
        cmp_ok time - $begin, '>', 0.9, 'not before its time';
        cmp_ok time - $begin, '<', 2.9, 'nor when a thread is free';
    }
    is $busy->response->status, 200, 'who was first is answered';
    is $httpd->get('/who')->status, 200, 'the next one too';
    is_deeply [notes($note)], [], 'nobody has begun with the others';
};

subtest 'a short wait' => sub {
    my ($busy) = in_flight($httpd, 'GET', '/sleep?s=0.4');
    is ask('none')->response->status, 200, 'is no matter';
    is $busy->response->status, 200, 'for nobody';
};

subtest 'a client that leaves the queue' => sub {
    my ($busy) = in_flight($httpd, 'GET', '/sleep?s=0.8');
    my $note   = new_note();
    my @left   = map { ask($note) } 1 .. 2;
    sleep 0.2;
    $_->close(1) for @left;
    sleep 0.2;
    is ask('none')->response->status, 200, 'has room for the next one';
    is $busy->response->status, 200, 'who was first is answered';
    is_deeply [notes($note)], [], 'nobody has begun with those who left';
};

ok defined $httpd->stop, 'httpd stops';
finish;
