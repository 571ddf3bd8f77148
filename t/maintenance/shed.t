# SPDX-License-Identifier: Apache-2.0
#
# Load sheds itself: past limits.backoff_at clients are asked to come less
# often, saturated they are refused, both with limits.backoff seconds.

use strict;
use warnings FATAL => 'all';
use JSON::PP ();
use Test::More;
use Time::HiRes qw(sleep time);
use WeaveTest;
use WeaveTest::Httpd ();
use WeaveTest::Load ();
use WeaveTest::Maintenance;
use WeaveTest::Workers;

my $SPREAD = "[maintenance]\nstyle = sync\nspread = 0\n";

# In embedded mode the slots are httpd's own: here there are 8.
my $SLOTS = <<'END';
<IfModule mpm_prefork_module>
    StartServers        8
    MaxRequestWorkers   8
</IfModule>
<IfModule !mpm_prefork_module>
    StartServers        2
    ThreadsPerChild     4
    MinSpareThreads     4
    MaxSpareThreads     8
    ServerLimit         4
    MaxRequestWorkers   8
</IfModule>
END

sub has_header { return defined $_[0]->header('X-Weave-Backoff') }

# What weavectl counts of the only application.
sub counters {
    my $httpd = shift;
    my (undef, $text) =
        weavectl($httpd, '-s', $httpd->state, 'status', '--json');
    # what is said to standard error follows it
    my ($status) = JSON::PP->new->decode_prefix($text);
    my ($app)    = @{ $status->{applications} };
    return $app->{maintenance}{counters};
}

sub new_server {
    my ($mode, %arg) = @_;
    my $limits = delete $arg{limits};
    my $conf   = delete $arg{conf} || '';
    my $httpd  = WeaveTest::Workers::new_httpd(
        mode    => $mode,
        limits  => "backoff = 123\n" . ($limits || ''),
        release => $SPREAD,
        conf    => $SLOTS . "WeaveApp / \"DIR/sync.ini\"\n" . $conf,
        expect  => qr/AH00484|AH10159|AH00161|AH0028[67]|WEAVE0046/,
        %arg);
    $httpd->start;
    ok eventually(sub { $httpd->get('/who')->status == 200 }), 'it serves';
    return $httpd;
}

# Every slot busy: 6 clients and, for the slots of httpd, those who ask here.
sub full {
    my $httpd = shift;
    return WeaveTest::Load->start($httpd->port, '/sleep?s=0.1', clients => 7);
}

# Full for a moment, and who asks meanwhile. (How long, how many were told.)
sub burst {
    my $httpd = shift;
    my $begin = time;
    my $load  = full($httpd);
    my $told  = 0;
    while (time < $begin + 0.8) {
        $told += has_header($httpd->get('/sleep?s=0.05'));
    }
    $told += has_header($httpd->get('/who'));
    my ($answered) = $load->stop;
    cmp_ok $answered, '>', 0, 'a burst';
    return (time - $begin, $told);
}

# Until 10 in a row are told nothing.
sub is_calm {
    my $httpd = shift;
    return eventually(sub {
        sleep 0.2;
        return !grep { has_header($httpd->get('/who')) } 1 .. 10;
    }, 120);
}

# Bursts of less than MOST_S say nothing. They are none on a machine that is too
# busy to end them in time.
use constant {MOST_S => 2.2, PAUSE_S => 5.5};

# A child that nobody asks meanwhile does not notice it.
sub pause {
    my $httpd = shift;
    sleep PAUSE_S;
    return is_calm($httpd);
}

sub short_burst {
    my ($httpd, $name) = @_;
    for (1 .. 10) {
        my ($took, $told) = burst($httpd);
        return is $told, 0, $name if $took < MOST_S;
        pause($httpd);
    }
    fail "$name: none was short";
}

sub past_the_mark {
    my $mode  = shift;
    my $httpd = new_server($mode, workers => "processes = 1\nthreads = 4\n",
        limits => "backoff_at = 50\nqueue_timeout = 60\n", conf => <<'END');
<Location /plain>
    WeaveSet maintenance.style plain
</Location>
<Location /other>
    WeaveSet limits.backoff 77
</Location>
END
    has_no_backoff($httpd->get('/who'), 'at first nobody is told anything');
    short_burst($httpd, 'nor by a short burst');
    pause($httpd); # would pass the mark if all of it counted
    short_burst($httpd, 'nor by one after a pause');

    my $load = full($httpd);
    my ($res, $other);
    ok eventually(sub { has_header($res = $httpd->get('/who')) }, 120),
        'full for a while: clients are asked to come less often';
    is $res->status, 200, 'with a good answer';
    has_backoff($res, 'and the number of limits.backoff', retry => 123);
    ok eventually(sub { has_header($other = $httpd->get('/other/who')) }),
        'everybody is';
    has_backoff($other, 'with the number of the place', retry => 77);
    my @plain = map { $httpd->get('/plain/who') } 1 .. 8;
    is scalar(grep { has_header($_) } @plain), 0, 'who has no Sync is not';
    is scalar(grep { $_->status != 200 } @plain), 0, 'but answered';
    my ($answered, undef, @failures) = $load->stop;
    is_deeply \@failures, [], 'nobody was refused';

    ok is_calm($httpd), 'the load is over: nobody is told any more';
    cmp_ok counters($httpd)->{backoff_load}, '>', 1, 'they are counted';
    is counters($httpd)->{backoff}, 0, 'not as maintenance';
    ok defined $httpd->stop, 'httpd stops';
}

subtest "past the mark, $_" => sub { past_the_mark($_) } for modes();

subtest 'plain' => sub {
    my $httpd = WeaveTest::Workers::new_httpd(
        workers => "processes = 1\nthreads = 2\n",
        limits  => "backoff_at = 20\nqueue_timeout = 60\n",
        release => "[maintenance]\nstyle = plain\n");
    serves($httpd, 1);
    my $load = full($httpd);
    ok eventually(sub {
        $httpd->get('/who');
        return $httpd->log_text =~ /clients are asked to come less often/;
    }), 'full for a while';
    is scalar(grep { has_header($httpd->get('/who')) } 1 .. 8), 0,
        'nobody is asked to come less often';
    my ($answered, undef, @failures) = $load->stop;
    cmp_ok $answered, '>', 20, 'there was load';
    is_deeply \@failures, [], 'and all were answered';
    is counters($httpd)->{backoff_load}, 0, 'none is counted';
};

# How much more has been counted since BEFORE.
sub since {
    my ($httpd, $before) = @_;
    my $now = counters($httpd)->{refused};
    return map { ($_ => $now->{$_} - $before->{$_}) } keys %$now;
}

subtest 'a full queue' => sub {
    my $httpd = new_server('processes',
        app     => slurp(root() . '/apps/workers.wsgi') . "\n\n$GATES" . <<'END',


def held(environ):
    stands_at(query(environ)["gate"])
    return "held"
END
        workers => "processes = 1\nthreads = 1\n",
        limits  => "queue_length = 2\nqueue_timeout = 60\n", conf => <<'END');
<Location /1.1/u/short>
    WeaveSet limits.queue_timeout 1
</Location>
END
    my $before = counters($httpd)->{refused};
    my $gate   = gate($httpd);
    my ($busy) = in_flight($httpd, 'GET', "/held?gate=$gate->{name}");
    is_at($gate);
    is_failure($httpd->get('/1.1/u/short/who'), 'too long in the queue',
        body => $STORAGE, retry => 123) for 1 .. 2;
    my @clients = map { $httpd->client } 1 .. 3;
    $_->send("GET /1.1/u/who HTTP/1.1\r\nHost: localhost\r\n\r\n") for @clients;
    # whichever comes last
    my $full;
    ok eventually(sub { ($full) = grep { $_->readable(0) } @clients }), 'full';
    is_failure($full->response, 'the queue is full', body => $STORAGE,
        retry => 123);
    opens($gate);
    is $_->response->status, 200, 'who was before is answered'
        for $busy, grep { $_ != $full } @clients;
    my %refused = since($httpd, $before);
    is $refused{queue},       1, 'counted: the queue was full';
    is $refused{late},        2, 'counted: too long in it';
    is $refused{maintenance}, 0, 'and nothing as maintenance';
    ok defined $httpd->stop, 'httpd stops';
};

# weaved holds still, so nobody brings another worker.
subtest 'no worker' => sub {
    my $httpd = new_server('processes', workers => "processes = 2\n",
        limits => "queue_timeout = 1\n", expect => qr/WEAVE007\d|WEAVE013\d/);
    my @pids   = serves($httpd);
    my $weaved = status($httpd)->{pid};
    my $before = counters($httpd)->{refused};
    $httpd->{log}->allow_crash;
    kill STOP => $weaved;
    kill KILL => @pids;
    # nobody waits for them
    ok eventually(sub {
        !grep { (eval { slurp("/proc/$_/stat") } || ") Z ") !~ /\) Z / } @pids }),
        'they have ended';
    is_failure($httpd->get('/1.5/42/who'), 'all workers are gone',
        body => $V15, retry => 123);
    my %refused = since($httpd, $before);
    is $refused{down} + $refused{late}, 1, 'it is counted';
    kill CONT => $weaved;
    ok eventually(sub { $httpd->get('/who')->status == 200 }),
        'others come';
    ok defined $httpd->stop, 'httpd stops';
};

subtest 'no application' => sub {
    my $httpd = WeaveTest::Httpd->new(
        app    => "raise RuntimeError('no application')\n",
        more   => "[limits]\nbackoff = 123\n$SPREAD",
        expect => qr/WEAVE00\d\d|$STACKS/);
    $httpd->start;
    ok eventually(sub { $httpd->log_text =~ /no application/ }), 'none here';
    is_failure($httpd->get('/1.1/u/who'), 'it could not be imported',
        body => $STORAGE, retry => 123);
    cmp_ok counters($httpd)->{refused}{down}, '>=', 1, 'it is counted';
    ok defined $httpd->stop, 'httpd stops';
};

finish;
