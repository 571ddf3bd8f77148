# SPDX-License-Identifier: Apache-2.0
#
# weavectl maintenance: who says what, what holds, and what is left of it when
# things go wrong. One application in worker processes, one in httpd.

use strict;
use warnings FATAL => 'all';
use Test::More;
use Time::HiRes qw(sleep time);
use JSON::PP ();
use WeaveTest;
use WeaveTest::Graceful ();
use WeaveTest::Maintenance;
use WeaveTest::Workers;

my $mounts = "WeaveSet maintenance.style sync\nWeaveApp /one \"DIR/sync.ini\"\nWeaveApp /two \"DIR/two.ini\"\n";
# weaved may see that its socket is away for a while: WEAVE0068
my $httpd  = two_apps($mounts, qr/WEAVE0046|WEAVE0068|WEAVE015[12]/);
my $dir   = $httpd->dir;
my $file  = $httpd->state . '/maintenance.json';
my ($one, $two) = ("$dir/sync.ini", "$dir/two.ini");
my $user  = getpwuid $<;
my $ini   = slurp($one);

sub said { return printed($httpd, @_) }

# A child of before may know another configuration: none is left.
sub restarts {
    my $httpd = shift;
    ok $httpd->renew(sub { WeaveTest::Graceful::restarts($httpd) }),
        'all children are new';
}

sub answers {
    my ($first, $second, $why) = @_;
    is $httpd->get('/one/who')->status, $first,  "$why: the workers'";
    is $httpd->get('/two/who')->status, $second, "$why: the embedded one";
}

# What the status says about INI.
sub maintenance_of {
    my $ini = shift;
    my ($app) = grep { $_->{ini} eq $ini } @{ status($httpd)->{applications} };
    return $app->{maintenance};
}

subtest 'nobody has said anything' => sub {
    answers(200, 200, 'off');
    said([], 0, qr/^\Q$one\E:\n  maintenance: off$/m,
         qr/^\Q$two\E:\n  maintenance: off$/m);
    said(['off'], 0, qr/before: nothing was set/);
};

subtest 'on, at once, and off' => sub {
    said(['on', '--retry-after', '77', '--message', 'Zurück um vier'], 0,
         qr/^maintenance: on for all applications until it is taken back, Retry-After 77 s$/m);
    answers(503, 503, 'on');
    like $httpd->get('/one/who')->header('Retry-After'), qr/^(?:7[7-9]|8\d|9[0-2])$/,
        'the number (and what is spread) is sent';
    said([], 0, qr/maintenance: on since $CLOCK by \Q$user\E \(weavectl, for all applications\)$/m,
         qr/message: Zurück um vier/);
    my $now = maintenance_of($one);
    is $now->{mode}, 'on', 'the status has it';
    is $now->{by}, $user, 'by whom';
    is $now->{from}, 'weavectl', 'and from where';
    cmp_ok abs($now->{since} - time), '<', 60, 'and since when';
    cmp_ok $now->{counters}{refused}{maintenance}, '>=', 2, 'and counts';
    cmp_ok maintenance_of($two)->{counters}{refused}{maintenance}, '>=', 1,
        'for the embedded one too';
    said(['off'], 0, qr/^maintenance: off for all applications$/m,
         qr/^before: on since .* by \Q$user\E, for all applications until it is taken back$/m);
    answers(200, 200, 'off');
};

subtest 'backoff' => sub {
    said(['backoff'], 0);
    my $answer = $httpd->get('/one/who');
    is $answer->status, 200, 'serves';
    ok $answer->header('X-Weave-Backoff'), 'with the header';
    cmp_ok maintenance_of($one)->{counters}{backoff}, '>=', 1, 'which counts';
    said(['off'], 0);
};

subtest 'for one of them' => sub {
    said(['on', $two], 0, qr/^maintenance: on for \Q$two\E until/m);
    answers(200, 503, 'on for one');
    said(['drain'], 0,
         qr/^in force for \Q$two\E: on since $CLOCK by \Q$user\E until it is taken back \(weavectl\)$/m);
    said(['off', $two], 1, qr/drain since .*, for all applications until it is taken back, still holds/);
    is $httpd->get('/one/who')->status, 200, 'a drain serves what goes on';
    is $httpd->get('/one/1.1/u/info/collections')->status, 503,
        'and begins nothing';
    said(['on', '-i', $one], 0);
    said(['off'], 0, qr/before: on .*, for \Q$one\E until/m, qr/before: drain/);
    answers(200, 200, 'off for all clears everything');
    spew("$dir/other.ini", $ini);
    said(['on', "$dir/other.ini"], 1, qr/httpd .* has no application of .* \Q$one\E, \Q$two\E$/m);
    said(['on', 'nothing.ini'], 1, qr/has no application of \S+\/nothing\.ini;/);
};

subtest 'an end' => sub {
    my ($seconds, $said);
    my @statuses = in_time(1, sub {
        $seconds = shift;
        said(['on', '--for', "${seconds}s"], 0,
            qr/until $CLOCK \($seconds s\)$/m);
        $said = time;
        return map { $httpd->get("/$_/who")->status } qw(one two);
    });
    is "@statuses", '503 503', 'before';
    sleep 0.1 while time < $said + $seconds + 0.1;
    answers(200, 200, 'and after, by itself');
    said([], 0, qr/maintenance: off/);
    said(['on', '--for', '30m'], 0, qr/\(30 min\)$/m);
    said(['off'], 0);
};

subtest 'the second operator' => sub {
    said(['on', '-m', 'the first'], 0);
    said(['backoff'], 0,
         qr/^before: on since .* by \Q$user\E, for all applications until it is taken back$/m);
    answers(200, 200, 'the last one wins');
    my @pids = map {
        my $n = $_;
        my $pid = fork;
        die "fork: $!" unless defined $pid;
        if (!$pid) {
            my ($exit) = weavectl($httpd, 'maintenance', 'on', '-m', $n);
            require POSIX;
            POSIX::_exit($exit);
        }
        $pid;
    } 1 .. 8;
    my $failed = grep { waitpid $_, 0; $? } @pids;
    is $failed, 0, 'eight at once do not fail';
    my $now = said([], 0);
    my ($kept) = slurp($file) =~ /"message": "(\d)"/;
    like $now, qr/message: \Q$kept\E$/m, 'the file and httpd agree on the last';
    said(['off'], 0);
};

subtest 'mistakes' => sub {
    said(['on'], 0);
    my $before = slurp($file);
    for my $case (
        [qr/no mode 'pause': one of on, drain, backoff, off/ => 'pause'],
        [qr/no mode '\Q$one\E': .* comes first.*-i INI/ => $one],
        [qr/no mode 'status': .*shows what is in force/ => 'status'],
        [qr/-i names another INI than \Q$two\E/ => 'on', $two, '-i', $one],
        [qr/the INI is empty/ => 'on', ''],
        [qr/the DIR is empty/ => 'on', '-s', ''],
        [qr/backoff takes no --message/ => 'backoff', '-m', 'Back at four'],
        [qr/from 1 s to 90 d/ => 'on', '--for', '91d'],
        [qr/--for 5 min is two words: write '5 min' or 5min/ => 'on', '--for', '5', 'min'],
        [qr/--wait 1 h is two words/ => 'on', $one, '--wait', '1', 'h'],
        [qr/from 1 s to 90 d/ => 'on', '--for', '0'],
        [qr/from 1 s to 90 d/ => 'on', '--for', 'soon'],
        [qr/from 1 s to 90 d/ => 'on', '--for='],
        [qr/from 1 s to 7 d/ => 'on', '--retry-after', '8d'],
        [qr/from 1 s to 7 d/ => 'on', '--retry-after', '-5'],
        [qr/control characters/ => 'on', '--message', "a\nb"],
        [qr/UTF-8/ => 'on', '--message', "\xff"],
        [qr/512 bytes; 511/ => 'on', '--message', 'x' x 512],
        [qr/off takes no/ => 'off', '--for', '5s'],
        [qr/which mode/ => '--for', '5s'],
        [qr/one word too many/ => 'on', $one, $two],
        [qr/does not take --no-wait/ => 'on', '--no-wait'],
    ) {
        my ($like, @args) = @$case;
        said(\@args, 2, $like);
    }
    is slurp($file), $before, 'none of them changes anything';
    answers(503, 503, 'it is still on');
    said(['off'], 0);
};

subtest 'what the configuration says' => sub {
    $httpd->configure("$mounts\nWeaveMaintenance On\n");
    restarts($httpd);
    ok eventually(sub { $httpd->get('/one/who')->status == 503 }), 'holds';
    said(['backoff'], 0,
         qr/^in force for \Q$one\E: on since $CLOCK \(WeaveMaintenance On at .*httpd\.conf:\d+/m);
    said(['off'], 1,
         qr/^weavectl: \Q$one\E: WeaveMaintenance On at .*httpd\.conf:\d+.* still holds; remove it and `apachectl graceful`/m);
    answers(503, 503, 'off is not enough');
    is maintenance_of($one)->{from}, 'WeaveMaintenance', 'the status says why';
    like maintenance_of($one)->{where}, qr/httpd\.conf:\d+$/, 'and where';
    $httpd->configure($mounts);
    spew($one, "$ini\n[maintenance]\nmode = drain\n");
    restarts($httpd);
    ok eventually(sub { $httpd->get('/two/who')->status == 200 }),
        'without it, it is over';
    said([], 0, qr/drain since .*\(maintenance\.mode = drain at \Q$one\E:\d+/);
    said(['off', $one], 1, qr/maintenance\.mode = drain at \Q$one\E:\d+.* still holds/);
    said(['off', $two], 0);
    spew($one, $ini);
    restarts($httpd);
    ok eventually(sub { maintenance_of($one)->{mode} eq 'off' }), 'off again';
};

subtest 'without weaved' => sub {
    my $socket = $httpd->runtime . '/weaved.sock';
    rename $socket, "$socket.away" or die $!;
    said(['on'], 0);
    answers(503, 503, 'it works');
    said([], 0, qr/maintenance: on/);
    my ($exit, $text) = weavectl($httpd, 'status');
    is $exit, 1, 'the status fails';
    like $text, qr/^\Q$one\E: unknown\n  maintenance: on since/m, 'having said that';
    like $text, qr/^\Q$two\E: embedded\n  maintenance: on since/m, 'of both';
    like $text, qr/no weaved listens/, 'and why';
    said(['off'], 0);
    rename "$socket.away", $socket or die $!;
    answers(200, 200, 'off');
};

subtest 'what is embedded' => sub {
    my ($exit, $text) = weavectl($httpd, 'reload', $two);
    is $exit, 1, 'is not reloaded by weavectl';
    like $text, qr/\Q$two\E: nothing was reloaded: .*`apachectl graceful`/, 'but so';
};

subtest 'restarts' => sub {
    said(['on', '--for', '1h', '-r', '99'], 0);
    my $since = maintenance_of($one)->{since};
    restarts($httpd);
    answers(503, 503, 'graceful');
    ok defined $httpd->stop, 'httpd stops';
    my @dir = ('-s', $httpd->state);
    said([@dir], 0, qr/^no httpd runs with/m,
         qr/^when httpd starts: maintenance on since .* for all applications until/m);
    said(['drain', $two], 1, qr/is not there: no httpd runs with this WeaveRuntimeDir, .* with -s/);
    said(['drain', $two, @dir], 0,
         qr/^weavectl: warning: no httpd runs with .*: this holds from its next start on; an httpd with another WeaveStateDir is not reached$/m);
    $httpd->start;
    answers(503, 503, 'a new httpd');
    is maintenance_of($one)->{since}, $since, 'it is the same';
    is maintenance_of($one)->{retry_after}, 99, 'with all its terms';
    said(['off'], 0, qr/before: drain .*, for \Q$two\E until it is taken back$/m);
    ok eventually(sub { $httpd->get('/one/who')->status == 200 }), 'off';
};

subtest 'a file that is damaged' => sub {
    said(['on', $two], 0);
    my $good = slurp($file);
    my %damaged = (
        'cut off'         => substr($good, 0, length($good) / 2),
        'empty'           => '',
        'another version' => $good =~ s/"version": 1/"version": 99/r,
    );
    for my $how (sort keys %damaged) {
        spew("$file.test", $damaged{$how});
        rename "$file.test", $file or die $!;
        said([], 1, qr/maintenance: on by .*state file is damaged/,
             qr/maintenance\.json is damaged/);
        my ($exit, $text) = weavectl($httpd, 'status');
        is $exit, 0, 'the status works';
        like $text, qr/maintenance\.json is damaged/, 'and says so';
        said(['off', $two], 1, qr/is damaged: .*`weavectl maintenance off` for all/);
        is slurp($file), $damaged{$how}, "$how: is left alone";
        answers(503, 503, "$how: nobody knows, so it is on");
    }
    restarts($httpd);
    answers(503, 503, 'after a graceful too');
    said(['backoff'], 0, qr/notice: .* is damaged/);
    answers(200, 200, 'until somebody says what is right');
};

subtest 'a file that has gone' => sub {
    said(['on', $two], 0);
    answers(200, 503, 'on for one');
    unlink $file or die $!;
    said([], 1, qr/^\Q$two\E:\n  maintenance: not known$/m, qr/maintenance\.json has gone/);
    is maintenance_of($two)->{mode}, undef, 'which mode, nobody knows';
    said(['off', $one], 1, qr/has gone, .*`weavectl maintenance off` for all/);
    ok !-e $file, 'nothing is written';
    said(['on'], 0, qr/notice: .*has gone/);
    answers(503, 503, 'on for all');
    said(['off'], 0);
    answers(200, 200, 'off');
};

subtest 'a damaged file at the start' => sub {
    ok defined $httpd->stop, 'httpd stops';
    spew($file, '{');
    $httpd->start;
    answers(503, 503, 'nobody knows, so it is on');
    my $shown = said([], 1, qr/maintenance: on .*state file is damaged/);
    is scalar(() = $shown =~ /: on by/g), 2, 'once for each';
    said(['backoff'], 0, qr/notice: .*it is replaced/);
    ok eventually(sub { $httpd->get('/one/who')->status == 200 }),
        'until somebody says what is right';
    said(['off'], 0);
};

# It is ended at each step that it takes, by one signal after the other.
subtest 'weavectl dies on the way' => sub {
    my $shim = conf_var('weave_build') . '/kill_shim.so';
    plan skip_all => "there is no $shim" unless -e $shim;
    my $preload = join ' ', grep { $_ } $ENV{LD_PRELOAD}, $shim;
    my ($text, $status, %seen);
    said(['on', '-m', 'it was 0'], 0);
    for my $signal (9, 2) {
        for my $step (1 .. 200) {
            my ($before) = slurp($file) =~ /it was (\d+)/;
            {
                local $ENV{LD_PRELOAD}      = $preload;
                local $ENV{WEAVE_TEST_KILL} = "$signal $step";
                (undef, $text) = weavectl($httpd, 'maintenance', 'on', '-m',
                    'it was ' . ($before + 1));
                $status = $?;
            }
            my $now = JSON::PP->new->decode(slurp($file));
            my ($said) = $now->{entries}[0]{message} =~ /^it was (\d+)\z/;
            $seen{ $said - $before }++;
            last if !$status;
        }
        is $status, 0, "signal $signal: in the end it gets through" or diag $text;
    }
    is join(' ', sort keys %seen), '0 1', 'the file was that of before or the new one';
    said(['off'], 0, qr/^before: on /m);
    answers(200, 200, 'off');
};

subtest 'a folder that cannot be written' => sub {
    said(['on'], 0);
    my $before = slurp($file);
    chmod 0555, $httpd->state;
    said(['off'], 1, qr/cannot be written: .*; nothing has changed/);
    is slurp($file), $before, 'the file is as it was';
    answers(503, 503, 'and so is httpd');
    chmod 0777, $httpd->state;
    said(['off'], 1, qr/can be written by others/);
    chmod 0755, $httpd->state;
    said(['off'], 0);
    answers(200, 200, 'mended, it is off');
};

ok defined $httpd->stop, 'httpd stops';
finish;
