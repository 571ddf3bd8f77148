# SPDX-License-Identifier: Apache-2.0
#
# Workers that die: what clients see of it, and what the log says.

use strict;
use warnings FATAL => 'all';
use Test::More;
use WeaveTest;
use WeaveTest::Load ();
use WeaveTest::Workers;

my $httpd = new_httpd(
    limits => "backoff = 7\nqueue_timeout = 30\n",
    expect => qr/WEAVE0075|WEAVE0137|$STACKS/);
$httpd->log->allow_crash;
my @first = serves($httpd);

# Those of before have made the pauses of their generation longer.
sub fresh {
    reloads($httpd);
    serves($httpd);
}

subtest 'while it is idle' => sub {
    my $log = $httpd->logged(qr/WEAVE0075/, sub { kill KILL => $first[0] });
    like $log, qr/weave:error WEAVE0075.*\b$first[0]\b.*SIGKILL/,
        'said once, with the signal';
    is $httpd->get('/who')->status, 200, 'nobody notices' for 1 .. 10;
    my @now = serves($httpd);
    is scalar(grep { $_ == $first[0] } @now), 0, 'another one takes its place';
};

# The worker PID answers COUNT requests: what it had before, it has no more.
sub answers {
    my ($pid, $count) = @_;
    my $requests = sub {
        my ($worker) = grep { $_->{pid} == $pid } map { @{ $_->{workers} } }
            map { @{ $_->{generations} } } @{ status($httpd)->{applications} };
        return $worker ? $worker->{requests} : 0;
    };
    my $end = $requests->() + $count;
    ok eventually(sub { $requests->() >= $end }), 'it is busy';
}

subtest 'under load' => sub {
    fresh();
    for my $keep_alive (0, 1) {
        my $load = WeaveTest::Load->start($httpd->port, '/sleep?s=0.02',
            clients => 4, keep_alive => $keep_alive);
        for (1 .. 2) {
            my $pid = (workers($httpd))[0];
            answers($pid, 15);
            kill KILL => $pid;
            ok gone($pid), 'a worker dies';
            serves($httpd);
        }
        my ($answered, $reopened, @failures) = $load->stop;
        cmp_ok $answered, '>', 20, 'there was load';
        is_deeply \@failures, [], 'no request failed';
    }
};

subtest 'with a request that may be sent again' => sub {
    fresh();
    my ($client, $pid) = in_flight($httpd, 'GET', '/sleep?s=1');
    kill KILL => $pid;
    my $res = $client->response;
    is $res->status, 200, 'it is';
    unlike $res->body, qr/\b$pid\b/, 'to another worker';
};

subtest 'with one that may not' => sub {
    fresh();
    my ($client, $pid) = in_flight($httpd, 'POST', '/sleep?s=50', body => 'x');
    my $log =
        $httpd->logged(qr/WEAVE0137.*POST/, sub { kill KILL => $pid });
    my $res = $client->response;
    is $res->status, 502, 'a 502';
    is $res->header('Retry-After'), 7, 'and when to come again';
    like $log, qr{weave:error WEAVE0137.*\b$pid\b.*POST /sleep \(request [^ -][^ ]+\)},
        'it is said, with the id of the request';
};

subtest 'with the head out' => sub {
    fresh();
    my ($client, $pid) = in_flight($httpd, 'GET', '/late?s=50');
    ok $client->readable(40), 'it begins';
    kill KILL => $pid;
    my $res = $client->response;
    is $res->status, 200, 'the head had come';
    ok !$res->complete, 'what is missing shows';
};

subtest 'a segmentation fault' => sub {
    # which takes the signal before Python does
    plan skip_all => 'AddressSanitizer reports it' if $ENV{ASAN_OPTIONS};
    fresh();
    my $log = $httpd->logged(qr/WEAVE0075/, sub {
        is $httpd->request('POST', '/segv', body => 'x')->status, 502, 'a 502';
    });
    like $log, qr/WEAVE0075.*SIGSEGV/, 'the signal is named';
    like $log, qr/Fatal Python error: Segmentation fault/, 'Python speaks';
    like $log, qr/File ".*workers\.wsgi", line \d+ in segv/,
        'and says where it was';
};

subtest 'one that exits' => sub {
    fresh();
    my $log = $httpd->logged(qr/WEAVE0075/, sub {
        is $httpd->request('POST', '/leave', body => 'x')->status, 502, 'a 502';
    });
    like $log, qr/WEAVE0075.*\b7\b/, 'its status is named';
};

ok defined $httpd->stop, 'httpd stops';
finish;
