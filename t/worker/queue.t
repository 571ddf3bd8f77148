# SPDX-License-Identifier: Apache-2.0
#
# The queue of a worker: its length, and how long a request may wait there.
# Its one thread is held until the test lets it go: no time decides who waits.

use strict;
use warnings FATAL => 'all';
use Test::More;
use Time::HiRes qw(sleep time);
use WeaveTest;
use WeaveTest::Workers;

my $httpd = new_httpd(
    workers => "processes = 1\nthreads = 1\n",
    limits  => "queue_length = 2\nqueue_timeout = 50\nbackoff = 9\n",
    conf    => <<'END');
LogLevel weave:debug
WeaveApp / "DIR/sync.ini"
<Location /impatient>
    WeaveSet limits.queue_timeout 1
</Location>
END
serves($httpd, 1);

sub ask {
    my ($note, $path) = @_;
    my $client = $httpd->client;
    $client->send(WeaveTest::Client::format_request(
        'POST', $path || '/who', note => $note, close => 1, body => 'x'));
    return $client;
}

subtest 'a full queue' => sub {
    my ($busy, $go) = hold($httpd);
    my $note   = new_note();
    my @queued = map { ask($note) } 1 .. 2;
    queue_is($httpd, 2, 'it is full');
    my $refused = new_note();
    my $res     = ask($refused)->response;
    is $res->status, 503, 'another request is refused';
    cmp_ok $res->header('Retry-After'), '>=', 1, 'with the time to come again';
    queue_is($httpd, 2, 'while they wait');
    spew($go, '');
    is $busy->response->status, 200, 'who was first is answered';
    is $_->response->status, 200, 'so are those who waited' for @queued;
    is scalar(notes($note, 2)), 2, 'by the application';
    is_deeply [notes($refused)], [], 'which has not seen the other one';
};

subtest 'too long in the queue' => sub {
    my ($busy, $go) = hold($httpd);
    my $note   = new_note();
    my $begin  = time;
    my @queued = map { ask($note, '/impatient/who') } 1 .. 2;
    for my $client (@queued) {
        is $client->response->status, 503, 'is refused in the end';
        cmp_ok time - $begin, '>', 0.9, 'not before its time';
    }
    queue_is($httpd, 0, 'nobody waits any more');
    spew($go, '');
    is $busy->response->status, 200, 'who was first is answered';
    is $httpd->get('/who')->status, 200, 'the next one too';
    is_deeply [notes($note)], [], 'nobody has begun with the others';
};

subtest 'a short wait' => sub {
    my ($busy, $go) = hold($httpd);
    my $waits = ask(new_note());
    queue_is($httpd, 1, 'one waits');
    spew($go, '');
    is $waits->response->status, 200, 'is no matter';
    is $busy->response->status, 200, 'for nobody';
};

subtest 'a client that leaves the queue' => sub {
    my ($busy, $go) = hold($httpd);
    my $note = new_note();
    my @left = map { ask($note) } 1 .. 2;
    queue_is($httpd, 2, 'two wait');
    $_->close(1) for @left;
    queue_is($httpd, 0, 'and go');
    my $next = ask(new_note());
    queue_is($httpd, 1, 'there is room for the next one');
    spew($go, '');
    is $next->response->status, 200, 'which is answered';
    is $busy->response->status, 200, 'as is who was first';
    is_deeply [notes($note)], [], 'nobody has begun with those who left';
};

subtest 'a client that closes its sending side' => sub {
    my ($busy, $go) = hold($httpd);
    my $note  = new_note();
    my $waits = ask($note);
    $waits->shut_writing;
    sleep 0.5;    # its thread looks at it every 100 ms
    queue_is($httpd, 1, 'waits');
    spew($go, '');
    is $busy->response->status, 200, 'who was first is answered';
    is $waits->response->status, 200, 'and so is it';
    is scalar(notes($note, 1)), 1, 'by the application';
};

# why, in the words of the worker
reloads($httpd);
for my $line (
    'connection \d+ is open, to process \d+',
    'request \d+ of connection \d+ is refused: the queue is full',
    'request \d+ of connection \d+ is called back',
    'connection \d+ is closed: the client has',
    'weaved orders: drain', 'draining \d+ connections',
    'this worker ends: it is drained',
) {
    ok eventually(sub { $httpd->log_text =~ / \[weave:debug\] .*$line/ }),
        "logged at debug: $line";
}
ok defined $httpd->stop, 'httpd stops';
finish;
