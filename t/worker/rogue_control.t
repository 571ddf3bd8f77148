# SPDX-License-Identifier: Apache-2.0
#
# A worker that wants to keep weaved busy: with what it says on its control
# channel, and with its answer to release.warmup. weaved goes on with all others.

use strict;
use warnings FATAL => 'all';
use POSIX ();
use Test::More;
use WeaveTest;
use WeaveTest::Rogue ();
use WeaveTest::Workers qw(weavectl status);

my $httpd = WeaveTest::Rogue->new(
    limits => "startup_timeout = 10\n[release]\nwarmup = /do/well\n",
    conf   => $WeaveTest::Rogue::ONE_CHILD,
    expect => qr/WEAVE0131|WEAVE0085|WEAVE007[01459]|WEAVE0080|rogue|[yz]{100}/);
$httpd->serves;
my $weaved = status($httpd)->{pid};

# The most memory that weaved ever had, in MiB.
sub most {
    my ($kib) = slurp("/proc/$weaved/status") =~ /^VmHWM:\s+(\d+) kB/m;
    return $kib / 1024;
}

# weaved answers, and replaces a worker of the other application.
sub looks_after_others {
    my $name = shift;
    my ($old) = $httpd->good;
    kill KILL => $old;
    ok eventually(sub {
        my ($now) = $httpd->good;
        return $now && $now != $old;
    }), "$name: a dead worker of another application is replaced";
    is $httpd->get('/good/who')->status, 200, "$name: which serves";
    is status($httpd)->{pid}, $weaved, "$name: by the same weaved";
}

for my $name (qw(many long_lines)) {
    subtest "control messages: $name" => sub {
        $httpd->serve_as("tell_$name");
        my $log = $httpd->logged(qr/WEAVE0070/, sub { weavectl($httpd, '-i',
            $httpd->dir . '/rogue.ini', 'reload') });
        like $log, qr/WEAVE0070: worker \d+ of .*rogue\.ini (?:has sent|sends) .*it is killed/,
            'who sends them is killed';
        looks_after_others($name);
    };
}

subtest 'a connection that lingers' => sub {
    my ($major, $minor) = (POSIX::uname())[2] =~ /^(\d+)\.(\d+)/;
    plan skip_all => 'Linux 6.16 lets a socket refuse descriptors'
        if $major < 6 || ($major == 6 && $minor < 16);
    $httpd->serve_as('tell_lingering');
    my $child = fork;
    if (!$child) {
        weavectl($httpd, '-i', $httpd->dir . '/rogue.ini', 'reload');
        POSIX::_exit(0);
    }
    looks_after_others('a connection that lingers');
    waitpid $child, 0;
};

for my $name (qw(log data long_head)) {
    subtest "a warm-up without end: $name" => sub {
        $httpd->serve_as("warm_$name");
        # does not wait for what becomes of it
        my $child = fork;
        if (!$child) {
            weavectl($httpd, '-i', $httpd->dir . '/rogue.ini', 'reload');
            POSIX::_exit(0);
        }
        looks_after_others($name);
        waitpid $child, 0;
        ok eventually(sub { $httpd->log_text =~
            /WEAVE0080.*rogue\.ini does not come up: .*(?:within limits\.startup_timeout|no valid frame)/ }),
            'it does not come up';
    };
}

cmp_ok most(), '<', 64, 'weaved has stayed small';

for my $name (qw(log_is_file log_is_memory board_is_file)) {
    subtest "a new weaved takes it over: $name" => sub {
        $httpd->serve_as('');
        ok eventually(sub { ($httpd->asks('well'))[0] eq '200' }), 'it serves';
        my ($rogue) = $httpd->rogue;
        my ($good)  = $httpd->good;
        $httpd->serve_as("super_$name");
        kill KILL => $weaved;
        ok eventually(sub { $httpd->log_text =~ /WEAVE00(?:70|85): worker $rogue / }),
            'who hands over something else is killed';
        ok eventually(sub {
            my $now = status($httpd);
            return $now && ($weaved = $now->{pid}) && $httpd->good;
        }), 'weaved goes on';
        is_deeply [$httpd->good], [$good], 'with the workers of others';
    };
}

$httpd->serve_as('');
ok eventually(sub { ($httpd->asks('well'))[0] eq '200' }), 'a good one serves again';
ok defined $httpd->stop, 'httpd stops';
finish;
