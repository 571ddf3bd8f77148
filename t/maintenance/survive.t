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

# Never served, while children come and go: until what is awaited is OVER.
sub stays_on {
    my ($httpd, $when, $over) = @_;
    my %seen;
    ok eventually(sub {
        my $res = eval { $httpd->get('/x') };
        $seen{ $res->status }++ if $res && $res->status;
        return %seen && $over->();
    }), "it is over $when";
    is join(' ', sort keys %seen), '503', "on all the time $when";
}

# `graceful` or `restart`, over when httpd says so and no child of before is
# left.
sub restarts_by {
    my ($httpd, $signal) = @_;
    my $count = sub {
        return scalar(() = $httpd->log_text =~ /resuming normal operations/g);
    };
    my $before = $count->();
    my %old    = map { $_ => 1 } $httpd->serving;
    $httpd->wait_until_idle;
    $httpd->signal($signal);
    stays_on($httpd, "at SIG$signal", sub {
        return $count->() > $before && !grep { $old{$_} } $httpd->serving;
    });
}

# What is off does not come back.
sub stays_off {
    my $httpd = shift;
    ok $httpd->renew, 'graceful';
    is_served($httpd->get('/'), 'off after graceful');
}

# What `maintenance on` for an hour, since BEGIN, may tell clients.
sub hour_since {
    my $begin = shift;
    return [3598 - (time - $begin), 3600];
}

sub kill_all {
    my $httpd = shift;
    # who is stopped starts nobody that is not on the list
    my @all = $httpd->pid;
    for (1 .. 3) {
        kill STOP => @all;
        @all = ($httpd->pid, descendants($httpd->pid));
    }
    kill KILL => @all;
    ok eventually(sub { !grep { alive($_) } @all }), 'all of httpd is gone';
    unlink $httpd->dir . '/httpd.pid' or die $!;
}

for my $mode (modes()) {
    my $processes = $mode eq 'processes';
    my $httpd = WeaveTest::Httpd->new(
        script => 'maintenance', mode => $mode,
        more   => "[workers]\nprocesses = 1\nthreads = 4\n"
            . "[maintenance]\nstyle = sync\nspread = 0\n",
        expect => qr/WEAVE0131|WEAVE0075/);
    $httpd->{log}->allow_crash;    # that is httpd's word for kill -9

    subtest "it survives, $mode" => sub {
        $httpd->start;
        is_served($httpd->get('/'), 'before');
        ctl($httpd, 0, 'maintenance', 'on', '--retry-after', 4321);
        my @word = (retry => 4321);
        is_on($httpd, 'at once', @word);
        restarts_by($httpd, $_) for qw(USR1 HUP USR1);
        is_on($httpd, 'after restarts', @word);

        my $child = ($httpd->serving)[-1];
        kill KILL => $child;
        stays_on($httpd, 'when a child is killed', sub {
            return !grep { $_ == $child } $httpd->serving;
        });
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
        ok !-e $httpd->runtime . "/$_", "its $_ is gone" for qw(httpd.json counters);
        $httpd->start;
        is_on($httpd, 'after stop and start', @word);

        kill_all($httpd);
        $httpd->start;
        is_on($httpd, 'after kill -9 and start', @word);
        ctl($httpd, 0, 'maintenance', 'off');
        is_served($httpd->get('/'), 'off');

        kill_all($httpd);
        my $text = ctl($httpd, 0, 'maintenance', 'on');
        like $text, qr/no httpd runs/, 'said while none runs';
        $httpd->start;
        is_on($httpd, 'from the start on');
        ctl($httpd, 0, 'maintenance', 'off');
        stays_off($httpd);
        ok defined $httpd->stop, 'httpd stops';
        $httpd->start;
        is_served($httpd->get('/'), 'off survives, too');
    };

    subtest "it ends by itself, $mode" => sub {
        my ($begin, $said, $seconds);
        my $for_a_while = sub {
            my $mode = shift;
            return in_time(1, sub {
                ($seconds, $begin) = ($_[0], time);
                ctl($httpd, 0, 'maintenance', $mode, '--for', "${seconds}s");
                $said = time;
                return $httpd->get('/1.1/u/storage');
            });
        };
        is_refusal($for_a_while->('on'), 'on for a while', retry => 60);
        my $client = $httpd->client;
        my $late   = 0;
        ok eventually(sub {
            my $asked = time;
            my $res   = $client->request('GET', '/');
            $client = $httpd->client
                if lc($res->header('Connection') || '') eq 'close';
            $late = $asked if $res->status != 200;
            return $res->status == 200;
        }, $seconds + 60), 'it ends';
        undef $client;
        cmp_ok time - $begin, '>=', $seconds - 0.1, 'not sooner';
        cmp_ok $late, '<', $said + $seconds + 1, 'nor later';
        is_served($httpd->get('/'), 'for everybody');
        stays_off($httpd);

        is_refusal($for_a_while->('on'), 'on for a while', retry => 60);
        ok defined $httpd->stop, 'httpd stops';
        sleep 0.1 while time < $said + $seconds + 0.1;
        $httpd->start;
        is_served($httpd->get('/'), 'it has ended while nobody was there');

        $begin = time;
        ctl($httpd, 0, 'maintenance', 'on', '--for', '1h');
        my $res = $httpd->get('/');
        is_refusal($res, 'on for an hour', retry => hour_since($begin));
        restarts_by($httpd, 'USR1');
        $res = $httpd->get('/');
        is_refusal($res, 'still on', retry => hour_since($begin));
        ctl($httpd, 0, 'maintenance', 'on', '--for', '1h', '--retry-after', '77');
        is_on($httpd, 'for an hour, with a number', retry => 77);
        ctl($httpd, 0, 'maintenance', 'on', '--for', '1h', '--retry-after', '7');
        is_on($httpd, 'with a small one', retry => 7);
        $begin = time;
        ctl($httpd, 0, 'maintenance', 'backoff', '--for', '1h');
        $res = $httpd->get('/');
        has_backoff($res, 'backoff for an hour', retry => hour_since($begin));
        has_backoff($for_a_while->('backoff'), 'for a while', retry => 60);
        sleep 0.1 while time < $said + $seconds + 0.1;
        is_served($httpd->get('/'), 'that has ended');
    };

    subtest "children of an httpd that was killed, $mode" => sub {
        my ($parent, @all) = ($httpd->pid, descendants($httpd->pid));
        my ($head, $rest) = WeaveTest::Client::format_request(
            'POST', '/x?length', close => 1, body => 'x' x 1000) =~ /\A(.*)(x{500})\z/s;
        my $client = $httpd->client;
        $client->send($head);
        ok $mode ne 'embedded' || eventually(sub {
            (weavectl($httpd, 'maintenance'))[1] =~ /requests in Python: 1/;
        }), 'a request is in Python';
        kill KILL => $parent;
        ok eventually(sub { !alive($parent) }), 'httpd is killed';
        is $httpd->get('/')->status, 200, 'its children serve on';
        like ctl($httpd, 0, 'maintenance', 'on'), qr/warning: no httpd runs/,
            'which weavectl does not see';
        is_on($httpd, 'but they obey');
        like ctl($httpd, 1, qw(maintenance on --wait 1s)), qr/--wait: the parent .* was killed/,
            'and still have a request' if $mode eq 'embedded';
        $client->send($rest);
        is $client->response->status, $mode eq 'embedded' ? 200 : 503, 'which ends';
        ctl($httpd, 0, qw(maintenance on --wait 1s));
        ctl($httpd, 0, 'maintenance', 'off');
        is_served($httpd->get('/'), 'off');
        kill KILL => @all;
        ok eventually(sub { !grep { alive($_) } @all }), 'they have ended';
        unlink $httpd->dir . '/httpd.pid';
        $httpd->start;
        is_served($httpd->get('/'), 'another one serves');
    };

    ok defined $httpd->stop, 'httpd stops';
}

finish;
