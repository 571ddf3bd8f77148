# SPDX-License-Identifier: Apache-2.0
#
# Clients of a worker that do not keep to the wire: they hold no executor,
# nothing of them is left, and others notice nothing.
#
# The user of this test is that of weaved, so HELLO as its supervisor would be
# right: that others may not is for tests/workers_root.t.

use strict;
use warnings FATAL => 'all';
use Test::More;
use Time::HiRes qw(sleep time);
use WeaveTest;
use WeaveTest::Rogue ();
use WeaveTest::Wire;
use WeaveTest::Workers;

# All requests are of one child, which has its connection to the worker.
my $one_child = $WeaveTest::Rogue::ONE_CHILD;
$one_child .= "StartServers 1\nMinSpareServers 1\nMaxSpareServers 1\n"
    . "ServerLimit 1\nMaxRequestWorkers 1\n"
    if mpm() eq 'prefork';

my $httpd = WeaveTest::Rogue->telling(
    app     => slurp(root() . '/apps/workers.wsgi') . <<'END',


def few_descriptors(environ):
    import resource
    used = len(os.listdir("/proc/self/fd"))
    resource.setrlimit(resource.RLIMIT_NOFILE, (used + 8, 4096))
    return "%d" % used


def many_descriptors(environ):
    import resource
    resource.setrlimit(resource.RLIMIT_NOFILE, (1024, 4096))
    return "again"
END
    workers => "processes = 1\nthreads = 1\n",
    limits  => "spool_at = 1M\n",
    conf    => "WeaveApp / \"DIR/sync.ini\"\n"
        # or nobody could look at what a worker has open
        . "CoreDumpDirectory \"DIR\"\n$one_child",
    expect  => qr/WEAVE009[2358]|AH1015|AH00161/);
my ($pid)  = serves($httpd, 1);
WeaveTest::Wire::know($httpd->secret);
my ($path) = glob $httpd->runtime . '/w-*.sock';

# Sooner than the worker gives up anybody, after $PATIENCE s.
my $PATIENCE = 10;

sub others {
    my $name = shift;
    my $begin = time;
    for (1 .. 5) {
        my $res = $httpd->get('/who');
        like $res->body, qr/^$pid /, "$name: others are served" or return;
    }
    cmp_ok time - $begin, '<', $PATIENCE - 2, "$name: at once";
}

sub descriptors { return scalar(() = glob "/proc/$pid/fd/*") }

$httpd->get('/who');
my $open = descriptors();

# ---- before HELLO ----

my $silent_since = time;
my @silent = map { WeaveTest::Wire->connect($path) } 1 .. 20;
others('those who say nothing');

my %hellos = (
    'text'           => "GET / HTTP/1.1\r\n\r\n",
    'noise'          => "\xff" x 5000,
    'other version'  => frame_of(HELLO => pack('LL', $$, 1),
        version => WeaveTest::Wire::VERSION() + 1),
    'too long'       => frame_of(HELLO => "\0" x 9),
    'too short'      => frame_of(HELLO => "\0" x 7),
    '4 GiB'          => frame_of(HELLO => '', bytes => 0xffffffff),
    'a request'      => request('/who'),
    'an unknown role' => hello_of(7),
    'type 200'       => frame_of(200 => ''),
);
for my $name (sort keys %hellos) {
    my $wire = WeaveTest::Wire->connect($path);
    $wire->send($hellos{$name});
    is $wire->state($PATIENCE - 2), 'closed', "HELLO: $name";
}
my $half = WeaveTest::Wire->connect($path);
$half->send(substr hello_of(), 0, 20);
others('half a HELLO');

# ---- requests ----

my $good = request('/who');
my %requests = (
    'text'            => "GET / HTTP/1.1\r\n\r\n",
    'other version'   => request('/who',
        version => WeaveTest::Wire::VERSION() + 1),
    'no magic'        => request('/who', magic => 1),
    'too long'        => frame_of(REQUEST => '', bytes => (16 << 20) + 1),
    'too short'       => frame_of(REQUEST => "\0" x 20),
    'HELLO again'     => hello_of(),
    'BODY unasked'    => frame_of(BODY => "\0" x 8),
    'an answer'       => frame_of(END => "\0" x 8),
    'WELCOME'         => frame_of(WELCOME => "\0" x 16),
    'too many vars'   => request('/who', count => 0xffffffff),
    'more vars'       => request('/who', count => 15),
    'fewer vars'      => request('/who', count => 13),
    'more body'       => request('/who', inline => 10),
    'less body'       => request('/who', inline => 0, body => 'x'),
    'a body of 4 GiB' => request('/who', inline => 0xffffffff),
    'a string too long' => request('/who', count => 1,
        vars => pack('LLL', 0, 0, 0xffffffff) . "GET\0"),
    'a string without end' => request('/who', count => 1,
        vars => pack('LLL', 0, 0, 3) . 'GETx'),
    'a NUL within' => request('/who', count => 1,
        vars => pack('LLL', 0, 0, 3) . "G\0T\0"),
    'an unknown key' => request('/who', count => 1,
        vars => pack('LLL', 0xfffffffe, 0, 3) . "GET\0"),
    'a key without name' => request('/who', count => 1,
        vars => pack('LLL', 0xffffffff, 0, 3) . "GET\0"),
    'a file that is not there' => request('/who', flags => 4,
        file_bytes => 100),
    'a file of -1' => request('/who', flags => 4, file_bytes => -1),
);
for my $name (sort keys %requests) {
    my $wire = WeaveTest::Wire->hello($path);
    $wire->send($requests{$name});
    is $wire->state(30), 'closed', "REQUEST: $name";
}
others('wrong requests');

subtest 'half a frame' => sub {
    my @half = map { WeaveTest::Wire->hello($path) } 1 .. 6;
    $half[0]->send(substr $good, 0, 3);
    $half[1]->send(substr $good, 0, 16);
    $half[2]->send(substr $good, 0, length($good) - 1);
    $half[3]->send($good . substr $good, 0, 10);
    $half[4]->send(frame_of(REQUEST => 'x' x 100_000, bytes => 16 << 20));
    $half[5]->send(frame_of('CANCEL' => '') x 100);
    others('half frames');
    is $half[2]->state, 'open', 'it may be slow';
    $half[2]->send(substr $good, -1);
    my ($types, $body) = $half[2]->answer;
    is $types, $TYPE{HEAD}, 'the other half makes it whole';
    like $body, qr/$pid /, 'and it is answered';
    is(($half[3]->answer)[0], $TYPE{HEAD}, 'so is a whole one before half');
};

subtest 'no environment at all' => sub {
    my $wire = WeaveTest::Wire->hello($path);
    $wire->send(request('/who', count => 0, vars => ''));
    my ($types) = $wire->answer;
    like $types, qr/\b(?:$TYPE{HEAD}|$TYPE{END})$/, 'is answered';
    others('without environ');
};

subtest 'two at once' => sub {
    my $wire = WeaveTest::Wire->hello($path);
    $wire->send($good . request('/who', number => 2));
    is(($wire->answer)[0], $TYPE{HEAD}, 'are answered') for 1 .. 2;
};

subtest 'who leaves at once' => sub {
    for my $target (('/who', '/large', '/read') x 15) {
        my $wire = WeaveTest::Wire->hello($path);
        $wire->send(request($target, flags => $target eq '/read' ? 0 : 0x10));
        $wire->close;
    }
    others('who leaves');
};

subtest 'who answers no READ' => sub {
    my $wire = WeaveTest::Wire->hello($path);
    $wire->send(request('/read', flags => 0));
    is(($wire->frame)[0], $TYPE{READ}, 'is asked');
    $wire->send(frame_of(BODY => "\0" x 8 . 'x' x 100_000));
    for my $wrong (frame_of(DATA => 'x'), frame_of(BODY => "\0" x 8, number => 9),
        frame_of(BODY => pack('lL', -99, 0)), 'x' x 20) {
        my $other = WeaveTest::Wire->hello($path);
        $other->send(request('/read', flags => 0));
        $wire->close;
        $other->frame;
        $other->send($wrong);
        is $other->state(30), 'closed', 'or answers wrong';
    }
    others('READ');
};

subtest 'who does not read' => sub {
    my @slow = map { WeaveTest::Wire->hello($path) } 1 .. 5;
    $_->send(request('/large')) for @slow;
    others('who does not read');
    my ($types) = $slow[0]->answer;
    like $types, qr/^$TYPE{HEAD}(?: $TYPE{DATA}){8}$/, 'later he may';
};

# ---- behind a queued request ----

sub rss_mib {
    return slurp("/proc/$pid/status") =~ /^VmRSS:\s+(\d+)/m ? $1 / 1024 : 0;
}

# A worker whose one thread is busy until a file is there, and who waits for it.
my $gates = 0;
sub queued {
    my $go   = $httpd->dir . '/go-' . ++$gates;
    my $busy = WeaveTest::Wire->hello($path);
    $busy->send(request("/hold?until=$go"));
    ok eventually(sub { (first_worker($httpd)->{running} || 0) == 1 }),
        'the worker is busy';
    my $waits = WeaveTest::Wire->hello($path);
    $waits->send(request('/who'));
    queue_is($httpd, 1, 'a request waits');
    return ($waits, sub {
        spew($go, '');
        is(($busy->answer)[0], $TYPE{HEAD}, 'who was first is answered');
    });
}

subtest 'a CANCEL behind a queued request' => sub {
    my ($waits, $go) = queued();
    my $cancel = frame_of(CANCEL => '');
    $waits->send(substr $cancel, 0, 7);
    my $other = WeaveTest::Wire->hello($path);    # the worker has looked
    is $waits->state, 'open', 'may come in pieces';
    $waits->send(substr $cancel, 7);
    is(($waits->answer)[0], $TYPE{CANCELLED}, 'gives it back');
    queue_is($httpd, 0, 'nothing waits');
    $go->();
};

my %behind = (
    'rubbish without end' => "\0" x (32 << 20),
    'another request'     => request('/who', number => 2),
    'a body'              => frame_of(BODY => "\0" x 8 . 'x' x 1000),
    'a CANCEL of another' => frame_of(CANCEL => '', number => 9),
);
for my $name (sort keys %behind) {
    subtest "behind a queued request: $name" => sub {
        my ($waits, $go) = queued();
        my $before = rss_mib();
        $waits->send($behind{$name});
        is $waits->state(30), 'closed', 'ends its connection';
        cmp_ok rss_mib() - $before, '<', 8, 'and takes no memory';
        queue_is($httpd, 0, 'nothing waits');
        $go->();
    };
}

subtest 'frames without end while all threads are busy' => sub {
    my ($waits, $go) = queued();
    my %floods = (
        CANCEL  => frame_of(CANCEL => '') x 100_000,
        REQUEST => join '', map { request('/who', number => $_) } 1 .. 5_000,
    );
    for my $name (sort keys %floods) {
        my $wire = WeaveTest::Wire->hello($path);
        $wire->send($floods{$name});
        is $wire->state(30), 'closed', "$name: the connection ends";
        ok(WeaveTest::Wire->hello($path), "$name: others are welcome");
    }
    $go->();
    is(($waits->answer)[0], $TYPE{HEAD}, 'who waits is answered');
};

# ---- too many ----

subtest 'no descriptors left' => sub {
    like $httpd->get('/few_descriptors')->body, qr/^\d+$/, 'but for a few';
    my @many = map { WeaveTest::Wire->connect($path) } 1 .. 40;
    $_->send(hello_of()) for @many;
    ok eventually(sub { $httpd->log_text =~ /WEAVE0098/ }), 'is said';
    my $cpu = sub { (split ' ', slurp("/proc/$pid/stat"))[13] };
    my $before = $cpu->();
    sleep 1;
    cmp_ok $cpu->() - $before, '<', 30, 'and nothing spins';
    others('without descriptors');
    $_->close for @many;
    ok eventually(sub { WeaveTest::Wire->hello($path) }),
        'then there is room again';
    is $httpd->get('/many_descriptors')->body, 'again', 'and as before';
    is scalar(() = $httpd->log_text =~ /WEAVE0098/g), 1, 'it is said once';
};

# ---- what is left ----

subtest 'those who say nothing' => sub {
    my $due = $silent_since + $PATIENCE;
    my $end = 20 + ($due > time ? $due : time);
    is scalar(grep { $_->state($end - time) ne 'closed' } @silent, $half), 0,
        "are not waited for any more after $PATIENCE s";
};

# Whoever has httpd's user can connect, also where the worker has another one.
my @crowd = map { WeaveTest::Wire->connect($path) } 1 .. 600;
ok defined WeaveTest::Wire->hello($path), 'who comes after a crowd is welcomed';
ok eventually(sub { descriptors() < $open + 300 }, $PATIENCE - 2),
    'the crowd, which says nothing, has not all its descriptors'
    or diag descriptors() - $open;
others('the crowd');
undef @crowd;

ok eventually(sub { descriptors() <= $open + 1 }), 'no descriptor is left'
    or diag descriptors() . " of $open: ", join ' ',
    map { readlink } glob "/proc/$pid/fd/*";
others('in the end');
ok defined $httpd->stop, 'httpd stops';
$httpd->no_crash;
finish;
