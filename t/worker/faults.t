# SPDX-License-Identifier: Apache-2.0
#
# Faults of what is around: no room, no folder, a full backlog, two owners,
# programs of another version. What is left goes on, and the log says why.

use strict;
use warnings FATAL => 'all';
use File::Path qw(remove_tree);
use Test::More;
use Time::HiRes qw(time);
use WeaveTest;
use WeaveTest::Graceful qw($plain restarts);
use WeaveTest::Rogue ();
use WeaveTest::Workers;

# Lines of LOG with NUMBER, of error and worse.
sub errors {
    my ($log, $number) = @_;
    return scalar(() = $log =~ /weave:(?:error|crit) $number/g);
}

subtest 'no room for uploads' => sub {
    my $httpd = new_httpd(
        workers => "processes = 1\n",
        limits  => "spool_dir = DIR/spool\nspool_at = 1K\n",
        expect  => qr/WEAVE0135/);
    my $dir = $httpd->dir . '/spool';
    mkdir $dir or die "$dir: $!";
    $httpd->write('sync.ini', slurp($httpd->dir . '/sync.ini') =~
        s{DIR/spool}{$dir}r);
    serves($httpd, 1);
    my @large = (body => 'x' x 100_000);
    is $httpd->request('POST', '/read', @large)->body, 100_000,
        'with room it is read';
    chmod 0500, $dir;
    my $log = $httpd->logged(qr/WEAVE0135/, sub {
        my $res = $httpd->request('POST', '/read', @large);
        is $res->status, 503, 'without, a 503';
        ok $res->header('Retry-After'), 'that says when to come again';
        is $httpd->client->request('POST', '/read', close => 1,
            chunked => [('x' x 10_000) x 10])->status, 503,
            'in chunks, too';
    });
    like $log, qr/WEAVE0135.*\Q$dir\E/, 'the log names the folder';
    is errors($log, 'WEAVE0135'), 2, 'in one line for each';
    is $httpd->request('POST', '/read', body => 'x')->body, 1,
        'small ones need no room';
    is $httpd->get('/who')->status, 200, 'others are served';
    chmod 0700, $dir;
    is $httpd->request('POST', '/read', @large)->body, 100_000,
        'when there is room again, all is well';
    ok defined $httpd->stop, 'httpd stops';
    $httpd->no_crash;
};

# The limit is on files that the worker writes: its child of httpd has none.
subtest 'a full disk for slow readers' => sub {
    my $httpd = new_httpd(
        app     => slurp(root() . '/apps/workers.wsgi') . <<'END',


import resource
resource.setrlimit(resource.RLIMIT_FSIZE, (100000, 100000))
END
        workers => "processes = 1\nthreads = 3\n",
        expect  => qr/WEAVE0094/);
    serves($httpd, 1);
    my @slow = map { $httpd->client } 1 .. 2;
    my $log  = $httpd->logged(qr/WEAVE0094/, sub {
        $_->send("GET /large HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            for @slow;
        ok $_->readable(60), 'the answer begins' for @slow;
    });
    is errors($log, 'WEAVE0094'), 1, 'it is said once';
    is $httpd->get('/who')->status, 200, 'others are served' for 1 .. 3;
    for my $client (@slow) {
        my $res = $client->response;
        ok $res->complete && length $res->body == 8 << 20,
            'then each is whole';
    }
    ok defined $httpd->stop, 'httpd stops';
    $httpd->no_crash;
};

# Until CONT. The signal is for the process: while the thread that is to take
# it waits for a processor, the others may still welcome somebody.
sub stands_still {
    my $pid = shift;
    kill STOP => $pid;
    ok eventually(sub {
        !grep { (eval { slurp($_) } || '') !~ /\) T / }
            glob "/proc/$pid/task/*/stat";
    }), 'the worker stands still';
}

# As many connections to PATH as its socket takes, until what it returns is
# closed.
sub fill_backlog {
    my $path = shift;
    my $code = <<'END';
import resource, socket, sys
resource.setrlimit(resource.RLIMIT_NOFILE, (3000, 3000))
held = []
try:
    while len(held) < 2500:
        held.append(socket.socket(socket.AF_UNIX))
        held[-1].setblocking(False)
        held[-1].connect(sys.argv[1])
except BlockingIOError:
    open(sys.argv[2], "w").close()
sys.stdin.read()
END
    my $done = "$path.full";
    open my $pipe, '|-', '/usr/bin/python3', '-c', $code, $path, $done
        or die "python3: $!";
    ok eventually(sub { -e $done }), 'the backlog is full';
    return $pipe;
}

# Some requests at once get 503, soon; the log says WANT.
sub refuses {
    my ($httpd, $want) = @_;
    my $begin = time;
    my $log   = $httpd->logged($want, sub {
        my @waiting = map { $httpd->client } 1 .. 6;
        $_->send("GET /who HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            for @waiting;
        is $_->response->status, 503, 'a 503' for @waiting;
    });
    cmp_ok time - $begin, '<', 20, 'in time';
    like $log, $want, 'and a line of the log';
}

subtest 'a full backlog' => sub {
    my $httpd = new_httpd(
        workers => "processes = 1\nthreads = 2\n",
        limits  => "queue_timeout = 1\nrequest_timeout = 100\n",
        expect  => qr/WEAVE0138/);
    my ($pid) = serves($httpd, 1);
    $httpd->get('/who');
    my ($path) = glob $httpd->runtime . '/w-*.sock';
    stands_still($pid);
    my $fill = fill_backlog($path);
    refuses($httpd, qr/WEAVE0138.*too many connections wait/);
    close $fill;
    kill CONT => $pid;
    ok eventually(sub { $httpd->get('/who')->status == 200 }),
        'then it serves again';
    is((workers($httpd))[0], $pid, 'the same worker');
    ok defined $httpd->stop, 'httpd stops';
    $httpd->no_crash;
};

subtest 'stopped workers' => sub {
    my $httpd = new_httpd(
        workers => "processes = 1\nthreads = 2\n",
        limits  => "queue_timeout = 1\nrequest_timeout = 100\n",
        expect  => qr/WEAVE0138/);
    my ($pid) = serves($httpd, 1);
    my @idle = map { in_flight($httpd, 'GET', '/sleep?s=0.2') } 1 .. 2;
    $_->response for grep { ref } @idle;
    stands_still($pid);
    refuses($httpd, qr/WEAVE0138.*it says nothing/);
    kill CONT => $pid;
    ok eventually(sub { $httpd->get('/who')->status == 200 }),
        'then it serves again';
    ok defined $httpd->stop, 'httpd stops';
    $httpd->no_crash;
};

subtest 'the runtime directory is deleted' => sub {
    my $httpd = new_httpd(
        conf => "WeaveApp /app \"DIR/sync.ini\"\n$WeaveTest::Rogue::ONE_CHILD",
        workers => "processes = 1\nthreads = 4\n",
        expect  => qr/WEAVE0068|AH1015|AH00161/);
    my ($pid) = serves($httpd, 1);
    $httpd->get('/app/who');
    my $weaved = status($httpd)->{pid};
    my $log = $httpd->logged(qr/WEAVE0068/,
        sub { remove_tree($httpd->runtime) });
    like $log, qr/WEAVE0068.*apachectl graceful/, 'the log says so, and the cure';
  SKIP: {
        skip 'each child has connections of its own', 1 if mpm() eq 'prefork';
        like $httpd->get('/app/who')->body, qr/^$pid /,
            'connections that are there go on';
    }
    my ($exit) = weavectl($httpd, 'status');
    isnt $exit, 0, 'weavectl has no way in';
    restarts($httpd);
    ok eventually(sub { status($httpd) }), 'graceful makes it again';
    is status($httpd)->{pid}, $weaved, 'for the same weaved';
    ok eventually(sub {
        my @now = workers($httpd);
        @now == 1 && $now[0] != $pid;
    }), 'with workers that can be reached';
    is $httpd->get('/app/who')->status, 200, 'who serve' for 1 .. 5;
    ok gone($pid), 'the other one leaves';
    ok defined $httpd->stop, 'httpd stops';
    $httpd->no_crash;
};

# Two httpds in one folder: see start.t.

subtest 'a socket that may not be used' => sub {
    my $httpd = new_httpd(workers => "processes = 1\n",
        limits => "queue_timeout = 200ms\n", expect => qr/WEAVE0138/);
    serves($httpd, 1);
    my ($path) = glob $httpd->runtime . '/w-*.sock';
    chmod 0, $path;
    my $log = $httpd->logged(qr/WEAVE0138/, sub {
        is $httpd->get('/who')->status, 503, 'a 503' });
    like $log, qr/WEAVE0138.*\Q$path\E: Permission denied/, 'the log says why';
    is errors($log, 'WEAVE0138'), 1, 'once';
    chmod 0600, $path;
    is $httpd->get('/who')->status, 200, 'mended, it serves';
    ok defined $httpd->stop, 'httpd stops';
};

# ---- another version ----

# A weaved that says ANSWER to all that it is asked.
sub fake_weaved {
    my $answer = shift;
    return <<"END";
#!/usr/bin/python3
import os, socket
os.close(5)
channel = socket.socket(fileno=6)
while channel.recv(1 << 20):
    channel.sendall(b'$answer\\n')
END
}

# What printed OUTPUT ends where the log says WANT.
sub is_refused {
    my ($httpd, $output, $want) = @_;
    my $said;
    eventually(sub { ($said = $httpd->log_text . $output) =~ $want });
    like $said, $want, 'httpd says it';
    ok eventually(sub { !-s $httpd->dir . '/httpd.pid' }), 'and does not start';
}

my %fakes = (
    'an error' => [
        '{"ok":false,"error":"this weaved is of another version of mod_weave'
        . ' than the program that asks: stop httpd and start it again"}',
        qr/WEAVE0130: .*another version.*stop httpd and start it again/],
    'rubbish'   => ['rubbish', qr/WEAVE0130: .*no JSON/],
    'no object' => ['[1]',     qr/WEAVE0130: .*no JSON/],
    'nothing it could mean' => ['{}', qr/WEAVE0130: .*no reason/],
);
for my $name (sort keys %fakes) {
    my ($answer, $want) = @{ $fakes{$name} };
    subtest "a weaved that answers $name" => sub {
        my $httpd = WeaveTest::Rogue->new(
            programs => {weaved => fake_weaved($answer)}, expect => qr/./);
        my ($status, $output) = $httpd->run('-k', 'start');
        is_refused($httpd, $output, $want);
    };
}

my %endings = (
    'ends at once'     => ["#!/bin/sh\nexit 3\n", qr/WEAVE0130/],
    'says why it ends' => ["#!/bin/sh\necho WEAVE0069: not today >&5\nexit 1\n",
        qr/WEAVE0130: .*not today/],
    'cannot be run'    => ["#!/no/such/program\n",
        qr/WEAVE0130: .*cannot be executed/],
);
for my $name (sort keys %endings) {
    my ($program, $want) = @{ $endings{$name} };
    subtest "a weaved that $name" => sub {
        my $httpd = WeaveTest::Rogue->new(
            programs => {weaved => $program}, expect => qr/./);
        my (undef, $output) = $httpd->run('-k', 'start');
        is_refused($httpd, $output, $want);
    };
}

# An upgrade under a running httpd, as far as it goes: the programs are
# replaced, and what is started from now on is of another version.
subtest 'a worker that is of another version' => sub {
    my $httpd = WeaveTest::Rogue->new(
        limits => "queue_timeout = 200ms\n",
        expect => qr/WEAVE0134/);
    $httpd->serves;
    $httpd->serve_as('hello_other_version');
    my $log = $httpd->logged(qr/WEAVE0134/, sub {
        is(($httpd->asks('well'))[0], '503', 'a 503') });
    like $log, qr/WEAVE0134.*stop httpd and start it again/, 'and the cure';
    is errors($log, 'WEAVE0134'), 1, 'once';
    ok defined $httpd->stop, 'httpd stops';
};

finish;
