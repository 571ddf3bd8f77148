# SPDX-License-Identifier: Apache-2.0
#
# An httpd with worker processes, and what weavectl says about them.
#
#   my $httpd = new_httpd(limits => "request_timeout = 1\n");
#   my @pids  = workers($httpd);

package WeaveTest::Workers;

use strict;
use warnings FATAL => 'all';
use Exporter 'import';
use Fcntl qw(O_RDWR);
use JSON::PP ();
use POSIX qw(mkfifo);
use Test::More;
use WeaveTest;
use WeaveTest::Httpd ();

our @EXPORT = qw(
    $STACKS $GATES new_httpd weavectl status workers generation serves reloads
    first_worker queue_is requests_are hold in_flight gone gate is_at opens
);

# Lines of faulthandler, and those of tracebacks.
our $STACKS = qr/^(?:(?:Current[ ]thread|Thread)[ ]0x[0-9a-f]+[ ].*\(most[ ]recent[ ]call[ ]first\):$
    |[ ]{2}File[ ]".*",[ ]line[ ](?:\d+|[?]{3})(?:$|,?[ ]in[ ][^ ]+$)|[ ]{2}<no[ ]Python[ ]frame>$
    |Fatal[ ]Python[ ]error:[ ]|Extension[ ]modules:[ ]
    |Traceback|[ ]{4}|\w+(?:Error|Exception)\b|$)/x;

# For an app.wsgi: stands_at() waits until the test opens that gate, with the
# GIL all the time or without it.
our $GATES = <<'END';
import ctypes
import os
import select
import sys


class Polled(ctypes.Structure):
    _fields_ = [("fd", ctypes.c_int), ("events", ctypes.c_short),
                ("revents", ctypes.c_short)]


def stands_at(gate, with_gil=False):
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), gate)
    libc = (ctypes.PyDLL if with_gil else ctypes.CDLL)(None)
    switch = sys.getswitchinterval()
    if with_gil:
        sys.setswitchinterval(1000)  # nobody has a turn between two calls
    fd = libc.open(path.encode(), os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    polled = Polled(fd, select.POLLIN, 0)
    libc.mkdir(path.encode() + b".here", 0o700)
    while libc.poll(ctypes.byref(polled), 1, 300000) < 0:
        pass  # a signal, such as that of graceful in prefork
    sys.setswitchinterval(switch)
    os.close(fd)
END

# WeaveTest::Httpd->new for t/apps/workers.wsgi in worker processes, two of four
# threads unless `workers` says otherwise; `workers`, `limits` and `release` are
# lines of those sections.
sub new_httpd {
    my %arg     = @_;
    my $workers = delete $arg{workers} || "processes = 2\nthreads = 4\n";
    my $more    = "[workers]\n$workers";
    $more .= "[$_]\n" . delete $arg{$_}
        for grep { defined $arg{$_} } qw(limits release);
    return WeaveTest::Httpd->new(
        mode   => 'processes',
        more   => $more,
        defined $arg{app} ? () : (script => 'workers'),
        %arg,
    );
}

# Runs it with ARGS; (exit status, what it printed).
sub weavectl {
    my ($httpd, @args) = @_;
    my @command = (conf_var('weave_build') . '/weavectl',
                   '-d', $httpd->runtime, @args);
    open my $out, '-|', 'sh', '-c', 'exec "$@" 2>&1', 'sh', @command
        or die "weavectl: $!";
    my $text = do { local $/; <$out> };
    close $out;
    return ($? >> 8, defined $text ? $text : '');
}

sub status {
    my $httpd = shift;
    my ($exit, $text) = weavectl($httpd, 'status', '--json');
    return $exit ? undef : eval { JSON::PP->new->decode($text) };
}

sub _app {
    my ($httpd, $which) = @_;
    my $status = status($httpd) or return undef;
    return (grep { !$which || $_->{ini} =~ $which }
            @{ $status->{applications} })[0];
}

# The number of the generation that serves.
sub generation {
    my $app = _app(@_);
    return $app ? $app->{generation} : 0;
}

# The pids of the ready workers of the generation that serves; WHICH is a
# pattern for the ini.
sub workers {
    my $app = _app(@_) or return;
    return map { $_->{pid} } grep { $_->{state} eq 'ready' }
        map { @{ $_->{workers} } }
        grep { $_->{state} eq 'serving' } @{ $app->{generations} };
}

# Starts HTTPD and waits for all its COUNT (2) workers.
sub serves {
    my ($httpd, $count) = @_;
    $httpd->start if !$httpd->running;
    ok eventually(sub { workers($httpd) == ($count || 2) }),
        'its workers are ready';
    return workers($httpd);
}

# `weavectl reload` brings another generation.
sub reloads {
    my $httpd  = shift;
    my $before = generation($httpd);
    my ($exit, $text) = weavectl($httpd, 'reload');
    is $exit, 0, 'weavectl reload' or diag $text;
    cmp_ok generation($httpd), '>', $before, 'another generation serves';
}

# Asks weavectl for the first worker of all: {pid, running, queued, ...}.
sub first_worker {
    my $status = status(shift) || {applications => []};
    my ($worker) = map { @{ $_->{workers} } }
        map { @{ $_->{generations} } } @{ $status->{applications} };
    return $worker || {};
}

# Asserts that so many requests wait there, soon.
sub queue_is {
    my ($httpd, $want, $name) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my $now;
    return ok(eventually(sub {
        $now = first_worker($httpd)->{queued};
        return defined $now && $now == $want;
    }), $name) || diag((defined $now ? $now : 'none') . ' wait');
}

# Waits until the application whose ini is like WHICH has COUNT requests: in Python, or
# before it.
sub requests_are {
    my ($httpd, $which, $count) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my $now;
    return ok(eventually(sub {
        my $app = _app($httpd, $which) or return 0;
        $now = $app->{running} || 0;
        $now += $_->{running} + $_->{queued}
            for map { @{ $_->{workers} } } @{ $app->{generations} };
        return $now == $count;
    }), "requests: $count") || diag((defined $now ? $now : 'not known') . ' are there');
}

# A request that a worker has until there is a file: (client, file).
my $holds = 0;
sub hold {
    my $httpd = shift;
    my $file  = $httpd->dir . '/go-' . ++$holds;
    my ($client, $pid) = in_flight($httpd, 'GET', "/hold?until=$file");
    ok $pid, 'the worker is busy';
    return ($client, $file);
}

# A request that has reached the application: (client, pid of its worker).
sub in_flight {
    my ($httpd, $method, $target, %opt) = @_;
    my $note   = new_note();
    my $client = $httpd->client;
    $client->send(WeaveTest::Client::format_request(
        $method, $target, note => $note, close => 1, %opt));
    my ($pid) = (join ' ', notes($note, 1)) =~ /in (\d+)/;
    return ($client, $pid);
}

# Makes a gate where requests can be held up, for $GATES.
my $gates = 0;

sub gate {
    my $httpd = shift;
    my $name  = 'gate-' . ++$gates;
    my $file  = $httpd->dir . "/$name";
    mkfifo($file, 0600) or die "$file: $!";
    sysopen my $pipe, $file, O_RDWR or die "$file: $!";
    return {name => $name, here => "$file.here", pipe => $pipe};
}

# Waits until a request stands there.
sub is_at {
    my $gate = shift;
    return ok eventually(sub { -d $gate->{here} }), 'it is under way';
}

sub opens { return syswrite $_[0]{pipe}, 'x' }

sub gone {
    my ($pid, $seconds) = @_;
    return eventually(sub { !alive($pid) }, $seconds || 60);
}

1;
