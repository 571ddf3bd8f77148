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

# On TERM and HUP event closes the sockets of all its workers at once: those
# that have one in hand find it closed, and say so.
my $CLOSED = qr/AH00468|AH00473|AH0309[234]|AH03465/;

sub new_httpd { return WeaveTest::Httpd->new(script => 'restarts', @_) }

# Waits until the next generation has answered N times.
sub resumed {
    my ($httpd, $n) = @_;
    return eventually(sub {
        (() = $httpd->log_text =~ /resuming normal operations/g) >= $n;
    });
}

# A request that is in Python until there is a file: (client, file).
sub hold {
    my $httpd  = shift;
    my $note   = new_note();
    my $file   = $httpd->dir . "/go-$note";
    my $client = $httpd->client;
    $client->send(WeaveTest::Client::format_request(
        'GET', "/?until=$file", note => $note));
    is_deeply [notes($note, 1)], ['in'], 'a request is in Python';
    return ($client, $file);
}

# Clients that ask for TARGET all the time, and a function that waits until the
# application has seen COUNT of their requests.
sub load {
    my ($httpd, $target, %opt) = @_;
    my $load = WeaveTest::Load->start($httpd->port, $target, %opt);
    my $file = root() . '/logs/notes';
    my $seen = sub {
        my $count = shift;
        return eventually(sub {
            (() = -e $file && slurp($file) =~ /^load-\Q$httpd->{dir}\E /mg)
                >= $count;
        });
    };
    return ($load, $seen);
}

# Lines for httpd.conf: what they ask for is noted.
my $NOTED = 'RequestHeader setifempty X-Note "load-DIR"';

subtest 'graceful' => sub {
    my $httpd = new_httpd();
    $httpd->start;
    my ($client, $go) = hold($httpd);
    my %before = map { $_ => 1 } @{ $httpd->children };
    $httpd->graceful;
    ok resumed($httpd, 2), 'httpd goes on';
    ok eventually(sub {
        my ($pid) = $httpd->get('/')->body =~ /^(\d+)-/;
        $pid && !$before{$pid};
    }), 'with a new import';
    spew($go, '');
    my $res = $client->response;
    is $res->status, 200, 'while the old one finishes its request';
    ok $res->complete, 'to the end';
    my ($pid) = $res->body =~ /^(\d+)-/;
    ok $before{$pid}, 'the old one, indeed';
    $client->close;
    ok defined $httpd->stop, 'stops';
    $httpd->no_crash;
    $httpd->log->expect(qr/AH00045/);
    $httpd->quiet;
};

subtest 'restart' => sub {
    my $httpd = new_httpd();
    $httpd->start;
    my ($client) = hold($httpd);
    $httpd->wait_until_idle;
    my $begin = time;
    $httpd->signal('HUP');
    ok resumed($httpd, 2), 'httpd comes back';
    cmp_ok time - $begin, '<', 30, 'without waiting for it';
    is $httpd->get('/')->status, 200, 'and serves';
    is $client->drain, '', 'requests in progress are cut';
    ok defined $httpd->stop, 'stops';
    $httpd->no_crash;
    $httpd->log->expect(qr/AH00045/, $CLOSED);
    $httpd->quiet;
};

subtest '20 gracefuls in a row under load' => sub {
    my $httpd = new_httpd(conf => qq(WeaveApp / "DIR/sync.ini"\n$NOTED\n));
    $httpd->start;
    my ($load, $seen) = load($httpd, '/?sleep=0.01', clients => 3,
        keep_alive => 1, pause => 0.005);
    for my $n (2 .. 21) {
        $httpd->graceful;
        ok resumed($httpd, $n), "graceful $n" or last;
        is $httpd->get('/')->status, 200, 'which serves';
    }
    ok $seen->(130), 'they go on to ask';
    my ($answered, undef, @failures) = $load->stop;
    cmp_ok $answered, '>', 100, "$answered answers";
    is_deeply \@failures, [], 'nobody failed';
    ok defined $httpd->stop, 'stops';
    $httpd->no_crash;
    # the configuration has no room for all the old generations at once
    $httpd->log->expect(qr/AH00484|AH00045|AH10159/);
    $httpd->quiet;
};

subtest 'MaxConnectionsPerChild under load' => sub {
    my $httpd = new_httpd(conf => qq(WeaveApp / "DIR/sync.ini"\n$NOTED\n)
            . "MaxConnectionsPerChild 25\n");
    $httpd->start;
    my %first = map { $_ => 1 } @{ $httpd->children };
    my ($load, $seen) = load($httpd, '/', clients => 3, pause => 0.002);
    ok $seen->(250), 'they ask';
    ok eventually(sub {
        my %now = map { $_ => 1 } @{ $httpd->children };
        grep { !$now{$_} } keys %first;
    }), 'more than those children answer that there were';
    my ($answered, undef, @failures) = $load->stop;
    cmp_ok $answered, '>', 200, "$answered answers";
    is_deeply \@failures, [], 'nobody failed';
    ok defined $httpd->stop, 'stops';
    $httpd->no_crash;
    $httpd->log->expect(qr/AH00045/);
    $httpd->quiet;
};

# TERM after so many SECONDS of load; what the log says of crashes.
sub term_after {
    my $seconds = shift;
    my $httpd   = new_httpd();
    $httpd->log->allow_crash; # the caller judges
    $httpd->start;
    my $load = WeaveTest::Load->start($httpd->port, '/', clients => 3,
        keep_alive => 1);
    sleep $seconds;
    my $took = $httpd->stop_at_once;
    $load->stop;
    ok defined $took, sprintf 'after %.2f s: it ends in %.1f s', $seconds,
        $took || 0;
    $httpd->log->expect(qr/AH00045/, $CLOSED);
    $httpd->quiet;
    unlike $httpd->log_text, qr/AH00046|SIGKILL/, 'none had to be killed';
    return $httpd->log_text =~ /^(.*(?:exit signal|Fatal Python).*)$/mg;
}

# The connections are kept alive, so that few are just being freed: where TERM
# comes then, event may close a socket that is not there any more, and crashes
# by itself, which is rare. What comes again is ours.
subtest 'a TERM at any moment' => sub {
    my @crashes = map { term_after(0.05 * $_) } 1 .. 8;
    if (@crashes && mpm() eq 'event') {
        diag "once more: $_" for @crashes;
        @crashes = map { term_after(0.05 * (1 + $_ % 8)) } 1 .. 24;
    }
    is_deeply \@crashes, [], 'no crash';
};

finish;
