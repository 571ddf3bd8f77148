# SPDX-License-Identifier: Apache-2.0
#
# Restarts of every kind, alone and under load.

use strict;
use warnings FATAL => 'all';
use Test::More;
use Time::HiRes qw(sleep time);
use WeaveTest;
use WeaveTest::Client ();
use WeaveTest::Httpd ();
use WeaveTest::Load ();

sub new_httpd { return WeaveTest::Httpd->new(script => 'restarts', @_) }

# Waits until the next generation has answered N times.
sub resumed {
    my ($httpd, $n) = @_;
    return eventually(sub {
        (() = $httpd->log_text =~ /resuming normal operations/g) >= $n;
    });
}

subtest 'graceful' => sub {
    my $httpd = new_httpd();
    $httpd->start;
    my $before = $httpd->get('/')->body;
    my $client = $httpd->client;
    $client->send(WeaveTest::Client::format_request('GET', '/?sleep=2'));
    sleep 0.3;
    $httpd->graceful;
    ok resumed($httpd, 2), 'httpd goes on';
    isnt $httpd->get('/')->body, $before, 'with a new import';
    my $res = $client->response;
    is $res->status, 200, 'while the old one finishes its request';
    ok $res->complete, 'to the end';
    ok defined $httpd->stop, 'stops';
    $httpd->no_crash;
    $httpd->log->expect(qr/AH00045/);
    $httpd->quiet;
};

subtest 'restart' => sub {
    my $httpd = new_httpd();
    $httpd->start;
    my $client = $httpd->client;
    $client->send(WeaveTest::Client::format_request('GET', '/?sleep=20'));
    sleep 0.3;
    my $begin = time;
    $httpd->signal('HUP');
    ok resumed($httpd, 2), 'httpd comes back';
    cmp_ok time - $begin, '<', 8, 'soon';
    is $httpd->get('/')->status, 200, 'and serves';
    is $client->drain, '', 'requests in progress are cut';
    ok defined $httpd->stop, 'stops';
    $httpd->no_crash;
    # event closes all sockets at once, and may still want to linger on one
    $httpd->log->expect(qr/AH00045|AH03092/);
    $httpd->quiet;
};

subtest '20 gracefuls in a row under load' => sub {
    my $httpd = new_httpd();
    $httpd->start;
    my $load = WeaveTest::Load->start($httpd->port, '/?sleep=0.01',
        clients => 3, keep_alive => 1, pause => 0.005);
    for my $n (2 .. 21) {
        $httpd->graceful;
        ok resumed($httpd, $n), "graceful $n" or last;
        is $httpd->get('/')->status, 200, 'which serves';
    }
    sleep 0.5;
    my ($answered, undef, @failures) = $load->stop;
    cmp_ok $answered, '>', 100, "$answered answers";
    is_deeply \@failures, [], 'nobody failed';
    ok defined $httpd->stop, 'stops';
    $httpd->no_crash;
    # the configuration has no room for all the old generations at once
    $httpd->log->expect(qr/AH00484|AH03490|AH00045|AH10159/);
    $httpd->quiet;
};

subtest 'MaxConnectionsPerChild under load' => sub {
    my $httpd = new_httpd(
        conf => qq(WeaveApp / "DIR/sync.ini"\nMaxConnectionsPerChild 25\n));
    $httpd->start;
    my $first = join ' ', sort @{ $httpd->children };
    my $load  = WeaveTest::Load->start($httpd->port, '/', clients => 3,
        pause => 0.002);
    sleep 6;
    my ($answered, undef, @failures) = $load->stop;
    cmp_ok $answered, '>', 200, "$answered answers";
    is_deeply \@failures, [], 'nobody failed';
    isnt join(' ', sort @{ $httpd->children }), $first,
        'from many children';
    ok defined $httpd->stop, 'stops';
    $httpd->no_crash;
    $httpd->log->expect(qr/AH00045/);
    $httpd->quiet;
};

subtest 'a TERM at any moment' => sub {
    for my $i (1 .. 8) {
        my $httpd = new_httpd();
        $httpd->start;
        # kept alive: event's close_worker_sockets(), on TERM, can meet a
        # connection that a worker is just freeing, and crashes by itself
        my $load = WeaveTest::Load->start($httpd->port, '/', clients => 3,
            keep_alive => 1);
        sleep 0.05 * $i;
        my $seconds = $httpd->stop;
        $load->stop;
        ok defined $seconds && $seconds < 8, "round $i: ends"
            . (defined $seconds ? sprintf ' in %.1f s', $seconds : '');
        $httpd->no_crash;
        $httpd->log->expect(qr/AH00045|AH03092/);
        $httpd->quiet;
    }
};

finish;
