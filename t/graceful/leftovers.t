# SPDX-License-Identifier: Apache-2.0
#
# Processes, timers and threads that an application starts and leaves behind.
# Each subtest names what went wrong before.

use strict;
use warnings FATAL => 'all';
use IO::Socket::INET ();
use Test::More;
use WeaveTest;
use WeaveTest::Httpd ();

# Whether PID is there, and not only its exit status.
sub is_there {
    my $pid = shift;
    open my $in, '<', "/proc/$pid/stat" or return 0;
    my ($state) = (<$in> || '') =~ /\) (\S)/;
    return $state && $state !~ /[ZX]/;
}

my $httpd = WeaveTest::Httpd->new(script => 'leftovers');
$httpd->start;

# It had httpd's signal mask and handlers: terminate() did nothing to it.
is $httpd->get('/terminated')->body, '-15',
    'a process of multiprocessing can be terminated';

# The signal killed the child of httpd, and the others' requests with it.
subtest 'alarm(), setitimer() and siginterrupt()' => sub {
    my $pid;
    my $log = $httpd->logged(qr/signal\.setitimer/,
        sub { $pid = $httpd->get('/timers')->body });
    like $pid, qr/^\d+$/, 'the request goes on';
    ok is_there($pid), 'so does the child';
    like $log, qr/WEAVE0046: signal\.$_\(/, "$_() is said to be ignored"
        for qw(alarm setitimer siginterrupt);
};

is $httpd->get('/alarmed')->body, '-14', 'a process that it forks may use them';

# It was a TypeError.
subtest 'signal() with keywords' => sub {
    my $log = $httpd->logged(qr/WEAVE0046/,
        sub { is $httpd->get('/keywords')->body, 'True', 'is ignored' });
    like $log, qr/WEAVE0046: signal\.signal\(/, 'which the log says';
};

# It lived on, with the socket that httpd listens on.
subtest 'a process when httpd stops' => sub {
    my $pid  = $httpd->get('/started')->body;
    my $port = $httpd->port;
    ok is_there($pid), 'runs';
    ok defined $httpd->stop, 'httpd stops';
    ok eventually(sub { !is_there($pid) }), 'so does the process'
        or kill 'KILL', $pid;
    ok +IO::Socket::INET->new(LocalAddr => '127.0.0.1', LocalPort => $port,
        Listen => 1, ReuseAddr => 1), 'the port is free';
    $httpd->no_crash;
    $httpd->log->expect(qr/AH00045/);
};

# Nothing else happened while Python waited for it, until time was up.
subtest 'exit handlers beside a thread that does not end' => sub {
    my $note  = new_note();
    my $httpd = WeaveTest::Httpd->new(
        script => 'stopping',
        more   => "[workers]\nenv.STOPPING_NOTE = $note\n",
        expect => qr/AH00045/,
    );
    $httpd->start;
    my $ready = sub {
        return scalar(
            () = $httpd->log_text =~ /the application of \S+ is ready/g);
    };
    my $start = mpm() eq 'prefork' ? 8 : 2; # as conf/common.inc has it
    ok eventually(sub {
        my $children = @{ $httpd->children };
        return $children >= $start && $ready->() == $children;
    }), 'all children are ready';
    is $httpd->get('/thread_for_ever')->body, 'done', 'a thread for minutes';
    ok defined $httpd->stop, 'httpd stops all the same';
    # every child has handlers: the one with the thread must be among them
    my $children = grep { /^atexit/ } notes($note, 2);
    is $children, $ready->(), 'the exit handlers of every child ran';
    $httpd->no_crash;
};

finish;
