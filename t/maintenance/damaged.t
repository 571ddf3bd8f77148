# SPDX-License-Identifier: Apache-2.0
#
# The file that keeps what weavectl has said is damaged, or has gone, or its
# folder is no place for it: that is never "off" by accident, and httpd goes on.

use strict;
use warnings FATAL => 'all';
use Test::More;
use Time::HiRes qw(sleep);
use WeaveTest;
use WeaveTest::Httpd ();
use WeaveTest::Maintenance;
use WeaveTest::Workers qw(weavectl);

my $GOOD = '{"format": "mod_weave maintenance", "version": 1, "entries": []}';

# What may be in the file instead.
my %DAMAGE = (
    'cut off'    => substr($GOOD, 0, 50),
    'empty'      => '',
    'garbage'    => "\xff\0\1garbage" x 1000,
    'of another' => $GOOD =~ s/1,/2,/r,
    'no entry'   => $GOOD =~ s/\[\]/[{"mode": "off"}]/r,
);

my $APP = 'WeaveApp / "DIR/sync.ini"';
# The same with another application, in worker processes.
my $TWO = "WeaveApp /two \"DIR/two.ini\"\n$APP";

sub new_httpd {
    my ($mode, %arg) = @_;
    my $httpd = WeaveTest::Httpd->new(
        script => 'maintenance', conf => $APP, mode => '',
        more   => "[maintenance]\nstyle = sync\nspread = 0\n"
            . "[workers]\nmode = $mode\nprocesses = 1\n", %arg);
    my $ini = slurp($httpd->dir . '/sync.ini');
    $httpd->write('two.ini', $ini =~ s/^mode = .*/mode = processes/mr);
    return $httpd;
}

sub file { return $_[0]->state . '/maintenance.json' }

sub is_on {
    my ($httpd, $path, $why) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    return is_refusal($httpd->get($path), $why);
}

# Puts TEXT there, or nothing, and waits for as long as weavectl does.
sub damage {
    my ($file, $text) = @_;
    unlink $file or die "$file: $!";
    spew($file, $text) if defined $text;
    sleep 0.25;
}

# `graceful`, which has its log say WANT (and nothing else).
sub graceful_says {
    my ($httpd, $want) = @_;
    my $log;
    ok $httpd->renew(sub {
        $log = $httpd->logged(qr/resuming normal/, sub { $httpd->graceful });
    }), 'all children are new';
    my @said = $log =~ /(WEAVE015[0-5])/g;
    is scalar @said, $want ? 1 : 0, 'graceful says something once, or nothing';
    like "@said", qr/\A$want\z/, "it is $want" if $want;
    like $log, qr/\Q@{[file($httpd)]}\E/, 'and names the file' if $want;
}

for my $mode (modes()) {
    subtest "while httpd runs, $mode" => sub {
        my $httpd = new_httpd($mode, expect => qr/WEAVE015[12]|WEAVE0046/);
        my $file  = file($httpd);
        my $ini   = $httpd->dir . '/sync.ini';
        $httpd->start;
        is_served($httpd->get('/'), 'at first');
        for my $name (sort keys %DAMAGE) {
            ctl($httpd, 0, 'maintenance', 'on', '--retry-after', 777);
            is_on($httpd, '/', "$name: on before");
            damage($file, $DAMAGE{$name});
            is_on($httpd, '/', "$name: on");
            graceful_says($httpd, 'WEAVE0152') if $name lt 'd';
            is_on($httpd, '/', "$name: still on");
            is slurp($file), $DAMAGE{$name}, 'nobody has touched the file';
        }
        like ctl($httpd, 1, 'maintenance', 'off', $ini), qr/\Q$file\E is damaged/,
            'that is no moment to speak for one';
        is_on($httpd, '/', 'on');
        like ctl($httpd, 0, 'maintenance', 'off'), qr/\Q$file\E is damaged/, 'for all it is';
        is_served($httpd->get('/'), 'off');
        graceful_says($httpd);

        ctl($httpd, 0, 'maintenance', 'on');
        is_on($httpd, '/', 'on again');
        damage($file);
        is_on($httpd, '/', 'has gone: on');
        graceful_says($httpd, qr/WEAVE015[12]/);
        is_on($httpd, '/', 'on after graceful');
        ctl($httpd, 0, 'maintenance', 'off');
        is_served($httpd->get('/'), 'off');

        # what was off is not known any more
        damage($file, 'garbage');
        is_on($httpd, '/', 'damaged while off: on');
        spew($file, $GOOD);
        sleep 0.25;
        is_served($httpd->get('/'), 'mended: off');
        graceful_says($httpd);
        damage($file);
        is_served($httpd->get('/'), 'it has gone while off: off');
        graceful_says($httpd);
        is_served($httpd->get('/'), 'off after graceful');

        ctl($httpd, 0, 'maintenance', 'on', '--for', '1s');
        $httpd->get('/');
        sleep 1.1;
        graceful_says($httpd);
        damage($file);
        is_served($httpd->get('/'), 'it has gone, and was over: off');
        ok defined $httpd->stop, 'httpd stops';
    };

    subtest "at a start, $mode" => sub {
        my $httpd = new_httpd($mode, expect => qr/WEAVE015[12]/);
        my $file  = file($httpd);
        mkdir $httpd->state or die $!;
        for my $name (sort keys %DAMAGE) {
            spew($file, $DAMAGE{$name});
            my $log = $httpd->logged(qr/resuming normal/,
                sub { $httpd->start });
            like $log, qr/weave:error WEAVE0152: \Q$file\E is damaged/,
                "$name: it says so";
            unlike $log, qr/WEAVE0151/, 'once';
            is_on($httpd, $_, "$name: $_ is on") for '/', '/any/path';
            is $httpd->get('/__lbheartbeat__')->status, 200, 'httpd lives';
            if ($name lt 'd') {    # of one, what comes next
                graceful_says($httpd, 'WEAVE0152');
                is_on($httpd, '/', 'on after graceful');
            }
            ctl($httpd, 0, 'maintenance', 'off');
            is_served($httpd->get('/'), 'weavectl says off: off');
            graceful_says($httpd);
            is_served($httpd->get('/'), 'off after graceful');
            ok defined $httpd->stop, 'httpd stops';
        }
        spew($file, 'garbage');
        $httpd->start;
        is_on($httpd, '/', 'on');
        ctl($httpd, 0, 'maintenance', 'backoff', '--retry-after', 777);
        has_backoff($httpd->get('/'), 'weavectl says backoff: backoff',
            retry => 777);
        ok defined $httpd->stop, 'httpd stops';
    };

    for my $how ('damaged', 'gone') {
        subtest "another application, the file $how, $mode" => sub {
            my $httpd = new_httpd($mode, expect => qr/WEAVE015[12]|WEAVE0046/);
            my $file  = file($httpd);
            my ($one, $two) = map { $httpd->dir . "/$_.ini" } qw(sync two);
            $httpd->start;
            ctl($httpd, 0, 'maintenance', 'on', $one);
            is_on($httpd, '/', 'on');
            damage($file, $how eq 'damaged' ? 'garbage' : ());
            $httpd->configure($TWO);
            graceful_says($httpd, qr/WEAVE015[12]/);
            is_on($httpd, '/',    'the one of before is on');
            is_on($httpd, '/two', 'the new one is on');
            graceful_says($httpd, qr/WEAVE015[12]/);
            is_on($httpd, '/two', 'and stays on');
            ctl($httpd, 0, 'maintenance', 'off');
            is_served($httpd->get('/two'), 'until weavectl says off');
            is_served($httpd->get('/'),    'to all');
            ok defined $httpd->stop, 'httpd stops';
        };
    }
}

# One that is added while the file is all right is what the file says of it.
subtest 'another application, the file good' => sub {
    my $httpd = new_httpd('embedded', expect => qr/WEAVE0046/);
    my ($one, $two) = map { $httpd->dir . "/$_.ini" } qw(sync two);
    mkdir $httpd->state or die $!;
    ctl($httpd, 0, 'maintenance', 'on', $two);
    $httpd->start;
    is_served($httpd->get('/'), 'it is not the one');
    $httpd->configure($TWO);
    graceful_says($httpd);
    is_on($httpd, '/two', 'the other one is');
    is_served($httpd->get('/'), 'this one is not');
    ctl($httpd, 0, 'maintenance', 'off', $two);
    is_served($httpd->get('/two'), 'off');
    ok defined $httpd->stop, 'httpd stops';
};

# ---- the folder ----

sub says_0150 {
    my ($httpd, $name, $why, $code) = @_;
    my $log = $httpd->logged(qr/resuming normal/, $code);
    like $log, qr/weave:warn WEAVE0150: WeaveStateDir: .*$why/, "$name: says so";
    is scalar(() = $log =~ /WEAVE0150/g), 1, 'once';
    ok eventually(sub { $httpd->get('/')->status == 200 }), 'httpd serves';
    my ($exit, $text) =
        weavectl($httpd, '-s', $httpd->state, 'maintenance', 'on');
    is $exit, 1, 'weavectl does nothing';
    like $text, qr/$why/, 'and says why';
    is_served($httpd->get('/'), 'served');
}

subtest 'a folder that cannot be used' => sub {
    my $httpd = new_httpd('embedded', expect => qr/WEAVE015[012]/);
    my $state = $httpd->state;
    spew($state, 'a file');
    says_0150($httpd, 'a file', qr/\Q$state\E is no folder/,
        sub { $httpd->start });
    unlink $state;
    mkdir $state;
    for my $mode (0775, 0757, 01777) {
        chmod $mode, $state or die $!;
        says_0150($httpd, sprintf('%04o', $mode),
            qr/can be written by others.*chmod go-w \Q$state\E/,
            sub { $httpd->graceful });
    }
    chmod 0755, $state or die $!;
    graceful_says($httpd);
    ctl($httpd, 0, 'maintenance', 'on');
    is_on($httpd, '/', 'mended');

    # whose word the file is, nobody knows
    chmod 0777, $state or die $!;
    spew("$state/maintenance.json", $GOOD);
    my $log = $httpd->logged(qr/resuming normal/, sub { $httpd->graceful });
    like $log, qr/WEAVE0150/, 'no place for it again';
    like $log, qr/WEAVE0152: .* is not believed: /, 'nor is the file believed';
    is_on($httpd, '/', 'on');
    ok defined $httpd->stop, 'httpd stops';
    $log = $httpd->logged(qr/WEAVE0152/, sub { $httpd->start });
    is_on($httpd, '/', 'nor does a start believe it');
    ok defined $httpd->stop, 'httpd stops';
};

subtest 'a folder below a file' => sub {
    my $httpd = new_httpd('embedded', expect => qr/WEAVE0150/);
    my $below = $httpd->dir . '/sync.ini/state';
    $httpd->configure("WeaveStateDir \"$below\"\n$APP");
    my $log = $httpd->logged(qr/resuming normal/, sub { $httpd->start });
    like $log, qr/WEAVE0150: .*\Q$below\E cannot be made: Not a directory/,
        'it says so';
    is_served($httpd->get('/'), 'httpd serves');
    unlike $log, qr/WEAVE0152/, 'nobody has said anything';
    ok defined $httpd->stop, 'httpd stops';
};

finish;
