#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
#
# What `make run` starts, in copies of the checkout: as an ordinary user, and
# as root in a folder that httpd's children can read, in one they cannot, and in
# one that is another user's.

use strict;
use warnings FATAL => 'all';
use FindBin ();
use lib "$FindBin::Bin/../t/lib";

use File::Basename qw(dirname);
use File::Temp qw(tempdir);
use POSIX ();
use Test::More;

use WeaveTest::AsRoot;

use constant {UP_S => 300, DOWN_S => 60};

my $build = build();
chdir top() or die top() . ": $!";
plan skip_all => "nothing is built in $build: make" if !-e "$build/mod_weave.so";

my $user = $ENV{WEAVE_USER} || 'www-data';
my %started;    # pid => 1: leaders of sessions
END { local $?; kill KILL => -$_ for keys %started }

# A copy of what conf/run needs, as a checkout that was built would have it.
sub checkout {
    my ($mode, $owner) = @_;
    my $dir = tempdir('weave-run-XXXXXX', TMPDIR => 1, CLEANUP => 1);
    mkdir "$dir/build" or die "$dir: $!";
    system("cp -a conf server '$dir' && cp -a '$build'/mod_weave.so '$build'/weave* '$dir/build'") == 0
        or die 'cp failed';
    system('chown', '-R', $owner, $dir) == 0 or die 'chown failed' if $owner;
    chmod $mode, $dir;
    return $dir;
}

# Starts conf/run as a terminal would: in a session of its own.
sub start {
    my ($dir, $port, @as) = @_;
    unlink "$dir.log";
    my $pid = fork // die "fork: $!";
    if (!$pid) {
        POSIX::setsid();
        $SIG{INT} = 'DEFAULT';
        delete @ENV{qw(BUILD PYTHON)};
        open STDIN,  '<', '/dev/null';
        open STDOUT, '>', "$dir.log" or die "$dir.log: $!";
        open STDERR, '>&', \*STDOUT;
        exec @as, "$dir/conf/run", $port or die "$dir/conf/run: $!";
    }
    $started{$pid} = 1;
    return $pid;
}

# Processes that a run has started: all that have its port in their arguments.
sub processes {
    my $port = shift;
    my @found;
    for my $file (glob '/proc/[0-9]*/cmdline') {
        my $command = slurp($file);
        push @found, $command =~ tr/\0/ /r if $command =~ /WEAVE_PORT $port\b/;
    }
    return @found;
}

sub stop_ok {
    my ($pid, $signal, $port) = @_;
    kill $signal => -$pid;
    my $status;
    eventually(sub { waitpid($pid, POSIX::WNOHANG()) && defined($status = $?) }, DOWN_S);
    is($status, 0, "SIG$signal ends it, and that is no error");
    delete $started{$pid} if defined $status;
    # whom the end has killed may take a moment
    eventually(sub { !processes($port) }, DOWN_S);
    is_deeply([processes($port)], [], 'no process is left');
}

# The commands NAME that it has people try, as the same user, and what they answer.
sub try_commands {
    my ($log, $name, @as) = @_;
    my ($lines) = $log =~ /(^    \S*\Q$name\E .*?)^\s*$/ms;
    $lines //= 'true';
    $lines =~ s/^    curl /curl -s /mg;
    return split /\n/, (run(@as, 'sh', '-c', $lines))[1];
}

sub refused_ok {
    my ($name, $pattern, @arguments) = @_;
    my $output = qx(@arguments 2>&1);
    isnt($?, 0, "$name: refused") or return;
    like($output, $pattern, '... with a clear message');
}

sub serves_ok {
    my ($name, $dir, @as) = @_;
    my $port = free_port();
    my $pid  = start($dir, $port, @as);
    my $up   = eventually(sub {
        slurp("$dir.log") =~ /^    \S+weavectl.*^\s*\n/ms
            || waitpid($pid, POSIX::WNOHANG());
    }, UP_S);
    my $log = slurp("$dir.log");
    like($log, qr{The server is at http://127\.0\.0\.1:$port/}, "$name: it serves")
        or diag($log);
    my @answers = try_commands($log, 'curl', @as);
    is($answers[1], "http://127.0.0.1:$port/", 'what it proposes to try works');
    like($answers[3] // '', qr/"payload":"hello"/, '... to the last line');
    my $page = qx(curl -s http://127.0.0.1:$port/);
    like($page, qr{serverURL</code> to <code>http://127\.0\.0\.1:$port/</code>},
        'the page at / says how to set up a browser');
    like($page, qr{tokenserver\.uri</code> to <code>http://127\.0\.0\.1:$port/1\.0/sync/1\.5</code>},
        '... of today, too');
    like($page, qr/weave\.server \d/, '... and the version');
    is(qx(curl -s -o /dev/null -w '%{http_code}' http://127.0.0.1:$port/1.0/sync/1.5), 401,
        '... which gets an answer there');
    my $said = join "\n", try_commands($log, 'weavectl', @as);
    like($said, qr/ ready .*maintenance: on.*maintenance: off/s,
        'the commands of weavectl work') or diag($said);
    refused_ok('a second run', qr/running here already: process \d+, at http/,
        @as, "$dir/conf/run", free_port());
    my $data = -l "$dir/run/place" ? "$dir/run/place/data" : "$dir/run/data";
    is((stat $data)[2] & 07777, 0700, 'the data is private');
    is((stat "$data/sync.secret")[2] & 07777, 0600, '... and the secret');
    return ($pid, $port);
}

# ---- an ordinary user ----

my @as = $> == 0
    ? ('setpriv', "--reuid=$user", "--regid=$user", '--clear-groups', '--')
    : ();
my $dir = checkout(0755, @as ? $user : undef);
my ($pid, $port) = serves_ok('an ordinary user', $dir, @as);

my $other = checkout(0755, @as ? $user : undef);
refused_ok('a port that is taken', qr/port $port of 127\.0\.0\.1 is taken/,
    @as, "$other/conf/run", $port);
refused_ok('a port that is none', qr/from 1 to 65535, not 'http'/,
    @as, "$other/conf/run", 'http');
stop_ok($pid, 'INT', $port);

# What somebody has changed is kept, and nothing is made a second time.
system(qq(sed -i 's/^debug_page = .*/debug_page = __changed__/' '$dir/run/sync.ini')) == 0
    or die 'sed failed';
($pid, $port) = serves_ok('once more', $dir, @as);
unlike(slurp("$dir.log"), qr/virtualenv/, 'the virtualenv is kept');
like(qx(curl -s http://127.0.0.1:$port/__changed__), qr/"weave.server"/,
    'a changed sync.ini is kept');
stop_ok($pid, 'TERM', $port);
unlink "$dir.log";

# ---- root ----

SKIP: {
    skip 'needs root' if $> != 0;

    $dir = checkout(0755);
    ($pid, $port) = serves_ok('root', $dir);
    is((getpwuid((stat "$dir/run/data/weave.db")[4]))[0], $user,
        'requests are served unprivileged');
    stop_ok($pid, 'INT', $port);
    unlink "$dir.log";

    for my $case (['a folder nobody else can read', 0700],
                  ['a checkout of another user', 0755, $user])
    {
        my ($name, @how) = @$case;
        $dir = checkout(@how);
        ($pid, $port) = serves_ok("root, in $name", $dir);
        my $place = readlink "$dir/run/place";
        like(slurp("$dir.log"), qr/\Q$place\E/, 'where the copy is, is said');
        is((getpwuid((stat "$place/data/weave.db")[4]))[0], $user,
            'requests are served unprivileged');
        stop_ok($pid, 'TERM', $port);
        system('rm', '-rf', $place);
        rmdir dirname($place);
        unlink "$dir.log";
    }
}

done_testing();
