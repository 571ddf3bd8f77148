# SPDX-License-Identifier: Apache-2.0
#
# The stacks of all threads at a timeout and at a crash, while other threads log:
# what these wrote stood in the middle of lines of faulthandler.

use strict;
use warnings FATAL => 'all';
use Test::More;
use WeaveTest;
use WeaveTest::Httpd ();
use WeaveTest::Workers;

my $DEPTH = 60;

my $APP = <<'END';
import ctypes
import faulthandler
import os
import signal
import threading
import time

SIGNALS = (signal.SIGSEGV, signal.SIGABRT, signal.SIGRTMAX - 1)


def chatter():
    while True:
        print("a word")
        time.sleep(0.0001)


def child_crashes():
    if not os.fork():
        os.abort()
    os.wait()


def stacks_to(name):
    out = open(name, "w")
    faulthandler.enable(out)
    os.abort()


def reuses(name):
    """Has a file of its own at the number that the stacks go to."""
    (fd,) = [fd for fd in map(int, os.listdir("/proc/self/fd"))
             if "weave-stacks" in read_link(fd)]
    os.dup2(os.open(name, os.O_RDWR), fd, inheritable=False)
    if not os.fork():
        try:
            os.pwrite(fd, b"y", 0)
        finally:
            os._exit(0)
    os.wait()
    time.sleep(600)


def read_link(fd):
    try:
        return os.readlink("/proc/self/fd/%d" % fd)
    except OSError:
        return ""


ENDS = {
    "hangs": lambda: time.sleep(600),
    "hangs_with_gil": lambda: ctypes.PyDLL(None).sleep(600),
    "crashes": lambda: signal.raise_signal(signal.SIGSEGV),
    "aborts": os.abort,
    "child_crashes": child_crashes,
}


def deep(depth, name):
    if depth:
        deep(depth - 1, name)
    else:
        ENDS[name]()


def application(environ, start_response):
    name, _, value = environ["QUERY_STRING"].partition("=")
    body = str(os.getpid())
    if name == "seen":
        body = str([faulthandler.is_enabled()]
                   + [signal.getsignal(number) is signal.SIG_DFL for number in SIGNALS])
    elif name == "off":
        faulthandler.disable()
        os.abort()
    elif name == "to":
        stacks_to(value)
    elif name == "reuses":
        reuses(value)
    elif name:
        if value:
            for _ in range(3):
                threading.Thread(target=chatter, daemon=True).start()
        deep(DEPTH, name)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [body.encode()]
END
$APP =~ s/DEPTH/$DEPTH/;

my $httpd = WeaveTest::Httpd->new(
    app    => $APP,
    mode   => 'processes',
    more   => <<'END',
[limits]
request_timeout = 2
queue_timeout = 30
[workers]
processes = 1
threads = 2
END
    expect => qr/WEAVE00(?:71|72|73|75|76|79|99)|WEAVE013[67]|^a word$|$STACKS/);
$httpd->log->allow_crash;
serves($httpd, 1);

sub worker_pid { return $httpd->get('/')->body }

# What is logged from POST of QUERY until the worker has ended as SAYS says. A
# line that is cut is none of $STACKS.
sub stacks_of {
    my ($query, $status, $says) = @_;
    my $pid = worker_pid();
    my $log = $httpd->logged([$says], sub {
        is $httpd->request('POST', "/?$query")->status, $status, "$query: $status";
        ok gone($pid), 'the worker is gone';
    });
    my @lines = $log =~ /^\S+   File "\S+", line \d+ in deep$/mg;
    is scalar @lines, $DEPTH + 1, 'each frame of the stack is a line of its own';
    $httpd->quiet;
    return $log;
}

for my $query ('hangs=beside_others', 'hangs_with_gil') {
    my $log = stacks_of($query, 504, qr/WEAVE007[35]/);
    ok $log =~ / Thread 0x[0-9a-f]+ .*$/m, 'the stacks of others, too';
}

for my $case (['crashes', 'Segmentation fault', 'SIGSEGV'], ['aborts', 'Aborted', 'SIGABRT']) {
    my ($query, $error, $signal) = @$case;
    next if $signal eq 'SIGSEGV' && $ENV{ASAN_OPTIONS};    # which reports it itself
    my $log = stacks_of("$query=beside_others", 502, qr/WEAVE0075.*$signal/);
    ok $log =~ / Fatal Python error: $error$/m, 'what it was';
}

subtest 'a process that the application has forked' => sub {
    my $pid = worker_pid();
    my $log = $httpd->logged(qr/Fatal Python error: Aborted/, sub {
        is $httpd->get('/?child_crashes')->body, $pid, 'crashes, and the worker goes on';
    });
    like $log, qr/ in child_crashes$/m, 'its stack is logged';
};

subtest 'what the application sees of it' => sub {
    is $httpd->get('/?seen')->body, '[True, True, True, True]', 'enabled, and no handler';
    my $pid = worker_pid();
    my $log = $httpd->logged(qr/WEAVE0075.*SIGABRT/, sub {
        is $httpd->request('POST', '/?off')->status, 502, 'faulthandler.disable()';
        ok gone($pid), 'ends it in the same way';
    });
    unlike $log, qr/Fatal Python error/, 'without stacks';
    my $file = $httpd->dir . '/its_own';
    $pid = worker_pid();
    $log = $httpd->logged(qr/WEAVE0075.*SIGABRT/, sub {
        is $httpd->request('POST', "/?to=$file")->status, 502, 'faulthandler.enable(file)';
        ok gone($pid), 'the worker is gone';
    });
    unlike $log, qr/Fatal Python error/, 'not in the log';
    like slurp($file), qr/Fatal Python error: Aborted.* in stacks_to$/ms, 'but in the file';
};

subtest 'a file of the application at the number of ours' => sub {
    my $file = $httpd->dir . '/reused';
    spew($file, 'x' x 3000);
    chmod 0666, $file;
    my $pid = worker_pid();
    $httpd->logged(qr/WEAVE007[35]/, sub {
        is $httpd->request('POST', "/?reuses=$file")->status, 504, 'a timeout';
        ok gone($pid), 'ends the worker';
    });
    ok slurp($file) eq 'y' . 'x' x 2999, 'and leaves the file as it was';
};

ok defined $httpd->stop, 'httpd stops';
finish;
