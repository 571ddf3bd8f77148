# SPDX-License-Identifier: Apache-2.0
#
# What may become of the files by which httpd and weavectl know of each other,
# while httpd runs: a clear word, and never "off" by accident.

use strict;
use warnings FATAL => 'all';
use Test::More;
use File::Path qw(remove_tree);
use JSON::PP ();
use POSIX ();
use Time::HiRes qw(sleep);
use WeaveTest;
use WeaveTest::Httpd ();
use WeaveTest::Maintenance;
use WeaveTest::Workers qw(weavectl);

my $MOMENT = 0.25;    # as weavectl waits
my $APP    = 'WeaveApp / "DIR/sync.ini"';

sub started {
    my ($mode, %arg) = @_;
    my $httpd = WeaveTest::Httpd->new(script => 'maintenance', conf => $APP,
        mode => $mode, more => "[maintenance]\nstyle = sync\nspread = 0\n",
        expect => qr/WEAVE015[0-2]/, %arg);
    $httpd->start;
    is_served($httpd->get('/'), 'at first');
    return $httpd;
}

# FILE has TEXT, and is known by now. A child that reads while it is written would
# find it damaged.
sub becomes {
    my ($file, $text) = @_;
    spew("$file.new", $text);
    rename "$file.new", $file or die $!;
    sleep $MOMENT;
}

sub is_on  { return is_refusal($_[0]->get('/'), $_[1]) }
sub is_off { return is_served($_[0]->get('/'), $_[1]) }

# While httpd starts or ends, its FILE is not there for a moment: weavectl waits a second
# for it, which may be too short on a machine that is busy.
sub comes_while_weavectl_looks {
    my ($httpd, $file) = @_;
    my ($exit, $text);
    for (1 .. 5) {
        rename $file, "$file.away" or die $!;
        my $pid = fork;
        die "fork: $!" unless defined $pid;
        if (!$pid) {
            sleep 0.3;
            rename "$file.away", $file;
            POSIX::_exit(0);
        }
        ($exit, $text) = weavectl($httpd, 'status');
        waitpid $pid, 0;
        last if $text !~ /has not written/;
    }
    is $exit, 0, 'a file that comes while weavectl looks';
    return unlike $text, qr/has not written/, 'is seen';
}

for my $mode (modes()) {
    subtest "the file, $mode" => sub {
        my $httpd = started($mode);
        my $file  = $httpd->state . '/maintenance.json';

        ctl($httpd, 0, 'maintenance', 'on');
        (my $text = slurp($file)) =~ s/"mode": "on"/"mode": "backoff"/;
        becomes($file, $text);
        has_backoff($httpd->get('/'), 'changed by hand: as it says');
        becomes($file, $text . ' ' x 10_000_000);
        is_on($httpd, '10 MB of it');
        like $httpd->log_text, qr/WEAVE0152: .*is damaged: it is larger than 1 MiB/, 'it says so';
        ctl($httpd, 0, 'maintenance', 'off');
        is_off($httpd, 'off');

        becomes($file, $text);
        chmod 0, $file or die $!;
        sleep $MOMENT;
        is_on($httpd, 'what cannot be read is on');
        like $httpd->log_text, qr/WEAVE0152: .*cannot be read: Permission denied/, 'it says so';
        chmod 0644, $file or die $!;
        sleep $MOMENT;
        has_backoff($httpd->get('/'), 'until it can be');
        is scalar(() = $httpd->log_text =~ /WEAVE0152/g), 2, 'each was said once';
        ok defined $httpd->stop, 'httpd stops';
    };

    subtest "the folder, $mode" => sub {
        my $httpd = started($mode);
        my $state = $httpd->state;

        ctl($httpd, 0, 'maintenance', 'on');
        is_on($httpd, 'on');
        remove_tree($state);
        sleep $MOMENT;
        is_on($httpd, 'deleted: on');
        ok $httpd->renew, 'a graceful makes it again';
        is_on($httpd, 'still on');
        ctl($httpd, 0, 'maintenance', 'off');
        is_off($httpd, 'off');

        # another one in its place, in which nothing was said
        ctl($httpd, 0, 'maintenance', 'on');
        is_on($httpd, 'on');
        rename $state, "$state.old" or die $!;
        mkdir "$state.other" or die $!;
        symlink 'state.other', $state or die $!;
        sleep $MOMENT;
        is_on($httpd, 'a link in its place: on');
        # and one in which anybody may say it
        chmod 0777, "$state.other" or die $!;
        becomes("$state.other/maintenance.json",
            '{"format": "mod_weave maintenance", "version": 1, "entries": []}');
        is_on($httpd, 'a folder of everybody: on');
        like $httpd->log_text, qr/WEAVE0152: .*is not believed: .*can be written by others/, 'why';
        ctl($httpd, 1, 'maintenance', 'off');
        unlink $state or die $!;
        rename "$state.old", $state or die $!;
        ctl($httpd, 0, 'maintenance', 'off');
        is_off($httpd, 'off');
        ok defined $httpd->stop, 'httpd stops';
    };

    subtest "WeaveRuntimeDir, $mode" => sub {
        my $httpd = started($mode);
        my ($counters, $state) = map { $httpd->runtime . "/$_" } qw(counters httpd.json);
        my $inode = (stat $counters)[1];

        is((stat $_)[2] & 07777, 0600, "$_ is its own") for $counters, $state;
        my $has = JSON::PP->new->decode(slurp($state));
        is $has->{pid}, $httpd->pid, 'whose it is';
        is $has->{state_dir}, $httpd->state, 'where it says what is said';
        is $has->{applications}[0]{ini}, $httpd->dir . '/sync.ini', 'which applications';
        comes_while_weavectl_looks($httpd, $state);
        unlink $state or die $!;
        ok $httpd->renew, 'a graceful';
        ok -e $state, 'makes it again';
        is((stat $counters)[1], $inode, 'and leaves the counters');
        unlink $counters or die $!;
        ok $httpd->renew, 'another one';
        ok -e $counters, 'makes these again';
        is_off($httpd, 'served');
        ok defined $httpd->stop, 'httpd stops';
        ok !-e $_, "and takes $_ along" for $counters, $state;
    };
}

subtest 'a second httpd with one WeaveRuntimeDir' => sub {
    my $httpd = started('embedded');
    my $other = WeaveTest::Httpd->new(script => 'maintenance', expect => qr/WEAVE029\d/);
    my $pid   = $httpd->pid;
    my $conf  = slurp($other->dir . '/httpd.conf');
    $conf =~ s/^WeaveRuntimeDir .*/WeaveRuntimeDir "@{[$httpd->runtime]}"/m;
    $other->write('httpd.conf', $conf);
    like $other->logged(qr/WEAVE0290/, sub { $other->start }),
        qr/WEAVE0290: .* is in use by another httpd \(pid $pid\)/, 'it says so';
    is $other->get('/')->status, 200, 'and serves';
    ok defined $other->stop, 'it stops';
    is(JSON::PP->new->decode(slurp($httpd->runtime . '/httpd.json'))->{pid}, $pid,
        'and leaves what is not its own');
    ok defined $httpd->stop, 'httpd stops';
};

# A graceful and a stop of one whose folder somebody has removed.
subtest 'a WeaveRuntimeDir that another httpd has by now' => sub {
    my $httpd = started('embedded', expect => qr/WEAVE029\d/);
    my $other = WeaveTest::Httpd->new(script => 'maintenance');
    my $conf  = slurp($other->dir . '/httpd.conf');
    $conf =~ s/^WeaveRuntimeDir .*/WeaveRuntimeDir "@{[$httpd->runtime]}"/m;
    $other->write('httpd.conf', $conf);
    unlink glob $httpd->runtime . '/*';
    $other->start;
    my $pid   = $other->pid;
    my $state = $httpd->runtime . '/httpd.json';
    like $httpd->logged(qr/WEAVE0290/, sub { $httpd->renew }),
        qr/WEAVE0290: .* is in use by another httpd \(pid $pid\)/, 'it says so';
    is(JSON::PP->new->decode(slurp($state))->{pid}, $pid, 'and writes nothing there');
    ok defined $httpd->stop, 'it stops';
    ok -e $_, "and leaves $_" for $state, $httpd->runtime . '/counters';
    ok defined $other->stop, 'the other one stops';
};

subtest 'ChrootDir' => sub {
    my $httpd = WeaveTest::Httpd->new(conf => "ChrootDir DIR\n$APP", script => 'maintenance');
    my ($status, $output) = $httpd->configtest;
    like $output, qr/WEAVE0292: .* do not see WeaveStateDir \S+ below ChrootDir/, 'configtest says so';
};

finish;
