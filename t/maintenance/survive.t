# SPDX-License-Identifier: Apache-2.0
#
# What weavectl has said outlives everybody who has heard it, and ends by
# itself.

use strict;
use warnings FATAL => 'all';
use Test::More;
use Time::HiRes qw(sleep time);
use WeaveTest;
use WeaveTest::Httpd ();
use WeaveTest::Maintenance;
use WeaveTest::Workers;

sub is_on {
    my ($httpd, $when, %want) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    return is_refusal($httpd->get('/1.1/u/storage'), "on $when", %want);
}

# Never served, while children come and go.
sub stays_on {
    my ($httpd, $seconds, $when) = @_;
    my $end = time + $seconds;
    my %seen;
    while (time < $end) {
        my $res = eval { $httpd->get('/x') };
        $seen{ $res->status }++ if $res && $res->status;
        sleep 0.02;
    }
    is join(' ', sort keys %seen), '503', "on all the time $when";
}

# `graceful` or `restart`, over when httpd says so.
sub restarts_by {
    my ($httpd, $signal) = @_;
    my $count = sub {
        return scalar(() = $httpd->log_text =~ /resuming normal operations/g);
    };
    my $before = $count->();
    $httpd->signal($signal);
    stays_on($httpd, 1, "at SIG$signal");
    ok eventually(sub { $count->() > $before }), 'httpd goes on';
}

# What is off does not come back.
sub stays_off {
    my $httpd = shift;
    my $old   = join ' ', sort @{ $httpd->children };
    $httpd->graceful;
    ok eventually(sub { join(' ', sort @{ $httpd->children }) ne $old }),
        'graceful';
    is_served($httpd->get('/'), 'off after graceful');
}

# The links in WeaveStateDir to boards of httpds.
sub boards {
    my $httpd = shift;
    return map { m{([^/]*)$} } glob $httpd->state . '/httpd-*';
}

sub kill_all {
    my $httpd = shift;
    my @all   = ($httpd->pid, descendants($httpd->pid));
    kill KILL => @all;
    ok eventually(sub { !grep { kill 0, $_ } @all }), 'all of httpd is gone';
    unlink $httpd->dir . '/httpd.pid' or die $!;
}

for my $mode (modes()) {
    my $processes = $mode eq 'processes';
    my $httpd = WeaveTest::Httpd->new(
        script => 'maintenance', mode => $mode,
        more   => "[workers]\nprocesses = 1\nthreads = 4\n"
            . "[maintenance]\nspread = 0\n",
        expect => qr/WEAVE0131|WEAVE0075/);
    $httpd->{log}->allow_crash;    # that is httpd's word for kill -9

    subtest "it survives, $mode" => sub {
        $httpd->start;
        is_served($httpd->get('/'), 'before');
        is_deeply [boards($httpd)], ['httpd-' . $httpd->pid], 'one board';
        ctl($httpd, 0, 'maintenance', 'on', '--retry-after', 4321);
        my @word = (retry => 4321);
        is_on($httpd, 'at once', @word);
        restarts_by($httpd, $_) for qw(USR1 HUP USR1);
        is_on($httpd, 'after restarts', @word);

        my $child = $httpd->children->[-1];
        kill KILL => $child;
        stays_on($httpd, 0.5, 'when a child is killed');
        is_on($httpd, 'then', @word);

        if ($processes) {
            my $weaved = status($httpd)->{pid};
            kill KILL => $weaved;
            is_on($httpd, 'without weaved', @word);
            ctl($httpd, 0, 'maintenance', 'off');
            is $httpd->get('/')->status, 200, 'weavectl needs no weaved';
            ctl($httpd, 0, 'maintenance', 'on', '--retry-after', 4321);
            is_on($httpd, 'at once', @word);
            ok eventually(sub {
                my $now = status($httpd);
                return $now && $now->{pid} != $weaved;
            }), 'there is another weaved';
            ok eventually(sub { workers($httpd) == 1 }), 'with its worker';
            my ($worker) = workers($httpd);
            kill KILL => $worker;
            is_on($httpd, 'without a worker', @word);
            ok eventually(sub { grep { $_ != $worker } workers($httpd) }),
                'there is another one';
            is_on($httpd, 'with another one', @word);
        }

        ok defined $httpd->stop, 'httpd stops';
        is_deeply [boards($httpd)], [], 'its board is gone';
        $httpd->start;
        is_on($httpd, 'after stop and start', @word);
        is_deeply [boards($httpd)], ['httpd-' . $httpd->pid], 'one board';

        kill_all($httpd);
        my $dead = 'httpd-' . $httpd->pid;
        is_deeply [boards($httpd)], [$dead], 'it has left its board';
        $httpd->start;
        is_on($httpd, 'after kill -9 and start', @word);
        is_deeply [boards($httpd)], ['httpd-' . $httpd->pid],
            'the stale link is swept';
        ctl($httpd, 0, 'maintenance', 'off');
        is_served($httpd->get('/'), 'off');

        kill_all($httpd);
        my $text = ctl($httpd, 0, 'maintenance', 'on');
        like $text, qr/no httpd runs/, 'said while none runs';
        is_deeply [boards($httpd)], [], 'weavectl sweeps, too';
        $httpd->start;
        is_on($httpd, 'from the start on');
        ctl($httpd, 0, 'maintenance', 'off');
        stays_off($httpd);
        ok defined $httpd->stop, 'httpd stops';
        $httpd->start;
        is_served($httpd->get('/'), 'off survives, too');
    };

    subtest "it ends by itself, $mode" => sub {
        my $begin = time;
        ctl($httpd, 0, 'maintenance', 'on', '--for', '3s');
        is_on($httpd, 'for 3 s', retry => 60);
        my $client = $httpd->client;
        ok eventually(sub {
            my $res = $client->request('GET', '/');
            $client = $httpd->client
                if lc($res->header('Connection') || '') eq 'close';
            return $res->status == 200;
        }), 'it ends';
        my $lasted = time - $begin;
        undef $client;
        cmp_ok $lasted, '>=', 2.9, 'not sooner';
        cmp_ok $lasted, '<',  8,   'nor much later';
        is_served($httpd->get('/'), 'for everybody');
        stays_off($httpd);

        ctl($httpd, 0, 'maintenance', 'on', '--for', '2s');
        is_on($httpd, 'for 2 s');
        ok defined $httpd->stop, 'httpd stops';
        sleep 2.1;
        $httpd->start;
        is_served($httpd->get('/'), 'it has ended while nobody was there');

        ctl($httpd, 0, 'maintenance', 'on', '--for', '1h');
        is_on($httpd, 'for an hour', retry => [3590, 3600]);
        restarts_by($httpd, 'USR1');
        is_on($httpd, 'still', retry => [3580, 3600]);
        ctl($httpd, 0, 'maintenance', 'on', '--for', '1h', '--retry-after', '77');
        is_on($httpd, 'for an hour, with a number', retry => 77);
        ctl($httpd, 0, 'maintenance', 'on', '--for', '1h', '--retry-after', '7');
        is_on($httpd, 'with a small one', retry => 7);
        ctl($httpd, 0, 'maintenance', 'backoff', '--for', '1h');
        has_backoff($httpd->get('/'), 'backoff for an hour',
            retry => [3590, 3600]);
        ctl($httpd, 0, 'maintenance', 'backoff', '--for', '2s');
        has_backoff($httpd->get('/'), 'for 2 s', retry => 60);
        sleep 2.1;
        is_served($httpd->get('/'), 'that has ended');
    };

    ok defined $httpd->stop, 'httpd stops';
}

finish;
