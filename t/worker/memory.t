# SPDX-License-Identifier: Apache-2.0
#
# An idle worker needs little more than Python with the same application. What its threads
# have needed and freed is the system's again: it was kept, up to 32 MiB for each thread.

use strict;
use warnings FATAL => 'all';
use Test::More;
use WeaveTest;
use WeaveTest::Workers;

my $THREADS = 8;

# Beside Python it has threads, httpd's libraries, `threading` and `importlib.util`; and libpython
# instead of a program with the same code. Measured: 1.7 MB, and 3.0 MB before it gave back what
# only its start had needed.
SKIP: {
    skip 'AddressSanitizer needs more', 3 if $ENV{ASAN_OPTIONS};
    my $idle = new_httpd(workers => "processes = 1\nthreads = $THREADS\n", app => <<'END');
import importlib
import json  # brings what threading needs, as most imports do


def resident():
    with open("/proc/self/smaps_rollup") as lines:
        return next(line.split()[1] for line in lines if line.startswith("Rss:"))


def application(environ, start_response):
    start_response("200 OK", [])
    if environ["PATH_INFO"] == "/util":
        return [importlib.util.__name__.encode()]
    return [resident().encode()]
END
    # without packages: each may have a .pth file, which imports something at each start
    my $python = WeaveTest::conf_var('weave_venv') . '/bin/python';
    my $empty  = $idle->dir . '/empty';
    system($python, '-m', 'venv', '--without-pip', $empty) == 0 or die $empty;
    my $ini = $idle->dir . '/sync.ini';
    spew($ini, slurp($ini) =~ s/^virtualenv = \K.*/$empty/mr);
    $idle->start;
    my $worker = (map { $idle->get('/')->body } 1 .. 5)[-1];
    my $script = $idle->dir . '/app.wsgi';
    my $plain  = `'$empty/bin/python' -I -B -c 'exec(open("$script").read()); print(resident())'`;
    diag "$worker KB, Python $plain";
    cmp_ok $worker - $plain, '<', 2300, 'an idle worker needs less than 2.3 MB over Python';
    is $idle->get('/util')->body, 'importlib.util', 'we have imported what many only use';
    ok defined $idle->stop, 'httpd stops';
}

# All threads have so much at once, as with a hash of a password by Argon2.
my $httpd = new_httpd(
    workers => "processes = 1\nthreads = $THREADS\n", limits => "queue_timeout = 60\n",
    app => <<"END");
import re
import threading

everybody = threading.Barrier($THREADS)
kept = []


def application(environ, start_response):
    if environ["PATH_INFO"] == "/need":
        for _ in range(3):
            everybody.wait(100)
            block = bytearray(b"x") * (19 << 20)
            everybody.wait(100)
            del block
    if environ["PATH_INFO"] == "/scatter":
        everybody.wait(100)
        blocks = []
        for _ in range(10):
            blocks.append(b"x" * (1 << 20))
            kept.append(bytes(1000))  # so that no heap ends where a block does
        everybody.wait(100)
        del blocks
    with open("/proc/self/status") as lines:
        kb = next(line.split()[1] for line in lines if line.startswith("VmRSS"))
    start_response("200 OK", [])
    return [kb.encode()]
END
$httpd->start;

# Each of the threads has PATH at once.
sub all_at_once {
    my $path    = shift;
    my @clients = map { $httpd->client } 1 .. $THREADS;
    $_->send(WeaveTest::Client::format_request('GET', $path, close => 1)) for @clients;
    is scalar(grep { $_->response->status == 200 } @clients), $THREADS,
        "$path: all are answered";
}

my $before = $httpd->get('/')->body;
all_at_once('/need');
my $after = $httpd->get('/')->body;
diag "$before KB before, $after KB after";
cmp_ok $after - $before, '<', 40_000, 'a worker has no more than before';

# The holes that smaller blocks leave are given back when nothing runs.
SKIP: {
    skip 'AddressSanitizer keeps what is freed', 2 if $ENV{ASAN_OPTIONS};
    all_at_once('/scatter');
    my ($pid) = workers($httpd);
    ok eventually(sub {
        ($after) = slurp("/proc/$pid/status") =~ /^VmRSS:\s+(\d+)/m;
        return $after - $before < 20_000;
    }), 'nor when it is idle again';
    diag "$after KB then";
}

ok defined $httpd->stop, 'httpd stops';
finish;
