# SPDX-License-Identifier: Apache-2.0
#
# Clients can make httpd and the workers write to files: so much of a body or an
# answer, so much of all of them, and nothing before a password was asked for.

use strict;
use warnings FATAL => 'all';
use Compress::Zlib ();
use List::Util qw(sum0);
use Test::More;
use WeaveTest;
use WeaveTest::Workers;

my $MIB = 1 << 20;

my $LIMITS = <<'END';
spool_at = 64K
spool_dir = spool
spool_max = 3 MiB
spool_total = 8 MiB
backoff = 9
END
my $CONF = <<'END';
WeaveApp / "DIR/sync.ini"
# or nobody may see what a worker has open
CoreDumpDirectory "DIR"
<Location /private>
    Require all denied
</Location>
<Location /inflated>
    SetInputFilter DEFLATE
</Location>
END

my $httpd = new_httpd(
    app     => "import fcntl\n" . slurp(root() . '/apps/workers.wsgi')
        . <<'END',


def much(environ):
    return "x" * (24 << 20)


def hoard(environ):
    """Keeps what it has got."""
    for fd in os.listdir("/proc/self/fd"):
        try:
            if "/spool/" in os.readlink("/proc/self/fd/" + fd):
                flags = fcntl.fcntl(int(fd), fcntl.F_GETFL)
                return "kept as %d, %d" % (os.dup(int(fd)), flags & os.O_ACCMODE)
        except OSError:
            pass
    return "none"
END
    workers => "processes = 1\nthreads = 4\n",
    limits  => "${LIMITS}request_timeout = 4\n",
    conf    => $CONF,
    expect  => qr/WEAVE0(?:19[012]|101|137)|AH01630/);
my $spool = $httpd->dir . '/spool';
mkdir $spool or die "$spool: $!";
serves($httpd, 1);

# Bytes on the disk that PIDS have in nameless files there.
sub bytes_of {
    my %seen;
    for my $fd (map { glob "/proc/$_/fd/*" } @_) {
        my $to = readlink $fd or next;
        next if $to !~ /^\Q$spool\E/;
        my @stat = stat $fd or next;
        $seen{ $stat[1] } = 512 * $stat[12];
    }
    return sum0(values %seen);
}

sub bodies { return bytes_of($httpd->serving) }

# A client that has sent its head and SENT bytes of a body of LENGTH; where that
# is undef, of one chunk of 3 MiB.
sub upload {
    my ($length, $sent, $path) = @_;
    my $client = $httpd->client;
    my $framing = defined $length ? "Content-Length: $length\r\n\r\n"
        : sprintf "Transfer-Encoding: chunked\r\n\r\n%x\r\n", 3 * $MIB;
    $client->send("POST " . ($path || '/read') . " HTTP/1.1\r\nHost: x\r\n"
            . "Connection: close\r\n$framing" . 'x' x $sent);
    return $client;
}

# COUNT bytes that gzip makes less than half as large, and mod_deflate inflates.
sub inflated {
    my $count = shift;
    my $bytes = '';
    $bytes .= pack('N', length($bytes) * 2_654_435_761 % 2**32) . 'x' x 16
        while length $bytes < $count;
    return $httpd->request('POST', '/inflated/read',
        headers => ['Content-Encoding' => 'gzip'],
        body    => Compress::Zlib::memGzip(substr $bytes, 0, $count));
}

subtest 'one body' => sub {
    my $client = $httpd->client;
    $client->send("POST /read HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n"
            . 'Content-Length: ' . (4 * $MIB) . "\r\n\r\n");
    is $client->response->status, 413, 'too large: the client need not begin';
    is upload(4 * $MIB, 0)->response->status, 413, 'nor do others';
    my $res = $httpd->request('POST', '/read',
        chunked => [('x' x 65_536) x 49]);
    is $res->status, 413, 'too large without a length';
    for my $size (3 * $MIB, 65_536, 65_537) {
        $res = $httpd->request('POST', '/read', body => 'x' x $size);
        is $res->body, $size, "$size bytes";
        $res = $httpd->request('POST', '/read',
            chunked => [unpack '(a65536)*', 'x' x $size]);
        is $res->body, $size, 'in chunks, too';
        is inflated($size)->body, $size, 'and inflated';
    }
    is inflated(3 * $MIB + 1)->status, 413, 'inflated bytes count';
    ok eventually(sub { bodies() == 0 }), 'nothing is left';
};

# Clients that upload, and stop short of the end.
sub crowd {
    my @clients;
    # one after the other: of two that grow at once, both may be refused
    for my $count (1 .. 4) {
        push @clients, upload(@_ ? $_[0] : 3 * $MIB, 2 * $MIB);
        eventually(sub { bodies() >= $count * 7 / 4 * $MIB });
    }
    cmp_ok bodies(), '>=', 7 * $MIB, 'four bodies are under way';
    return @clients;
}

sub next_is_refused {
    my $res = upload(@_ ? $_[0] : 2 * $MIB, 2 * $MIB)->response;
    is $res->status, 503, 'the next one is refused';
    cmp_ok $res->header('Retry-After'), '>=', 9, 'with the time to come again';
    cmp_ok bodies(), '<=', 8 * $MIB, 'and they have what they may have';
    is $httpd->request('POST', '/read', body => 'x' x 65_536)->body, 65_536,
        'one that stays in memory is not';
    return is $httpd->get('/who')->status, 200, 'nor what has no body';
}

sub there_is_room {
    my $name = shift;
    ok eventually(sub {
        $httpd->request('POST', '/read', body => 'x' x (2 * $MIB))->status
            == 200;
    }), $name;
}

subtest 'without a right' => sub {
    is upload(4 * $MIB, 4 * $MIB, '/private')->response->status, 403,
        'an upload is refused, and not because it is too large';
    my @crowd = crowd();
    is upload(2 * $MIB, 2 * $MIB, '/private')->response->status, 403,
        'nor for want of room';
    $_->close(1) for @crowd;
    ok eventually(sub { bodies() == 0 }), 'nothing is left';
};

subtest 'all bodies' => sub {
    my @crowd = crowd();
    next_is_refused();
    is upload(3 * $MIB, 0)->send('x' x (3 * $MIB)), 1, 'more is read';
    $_->close(1) for @crowd;
    there_is_room('when they have left, there is room again');
    ok eventually(sub { bodies() == 0 }), 'nothing is left';
};

subtest 'bodies of a child that is killed' => sub {
    my @crowd = crowd();
    next_is_refused();
    kill KILL => $httpd->serving;
    there_is_room('are not counted any more');
};

subtest 'a worker that keeps a body' => sub {
    my ($pid) = workers($httpd);
    for (1 .. 3) {
        my $res = $httpd->request('POST', '/hoard', body => 'x' x $MIB);
        like $res->body, qr/^kept as \d+, 0$/, 'has its file, to read';
    }
    ok eventually(sub { bytes_of($pid) == 0 }), 'which is empty then'
        or diag bytes_of($pid);
};

subtest 'answers to slow readers' => sub {
    my ($pid) = workers($httpd);
    my @slow = map {
        my $client = $httpd->client;
        $client->send("GET /much HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        $client;
    } 1 .. 8;
    my $most = 0;
    # they hold the threads until limits.request_timeout, all of them
    ok eventually(sub {
        my $now = bytes_of($pid);
        $most = $now if $now > $most;
        return 8 == (() = $httpd->log_text =~ /WEAVE0101/g);
    }), 'are cut in the end';
    cmp_ok $most, '>', 4 * $MIB, 'their answers were kept';
    cmp_ok $most, '<=', 8 * $MIB, 'as far as they may be';
    $_->close(1) for @slow;
    is $httpd->get('/who')->body, "$pid none", 'the worker goes on';
    unlike $httpd->log_text, qr/WEAVE0099/, 'it did not hang';
    like $httpd->log_text, qr/WEAVE0192/, 'the log says why they had to wait';
    my $res = $httpd->get('/much');
    is length $res->body, 24 * $MIB, 'who reads gets all of it';
};

like $httpd->log_text, qr/WEAVE0190/, 'the log says which bound was reached';
ok defined $httpd->stop, 'httpd stops';
$httpd->no_crash;

# There only bodies go to files whose length nobody has announced.
subtest 'embedded' => sub {
    $httpd = WeaveTest::Httpd->new(
        mode   => 'embedded',
        app    => <<'END',
import os


def closed_count(fds):
    """How many of them are not open."""
    count = 0
    for fd in fds:
        try:
            os.fstat(fd)
        except OSError:
            count += 1
    return count


def has_forked():
    """How many files of bodies a new process has open, and how many of its own
    another one, that it forks, has not."""
    ours, theirs = os.pipe()
    pid = os.fork()
    if not pid:
        fds = ["/proc/self/fd/" + fd for fd in os.listdir("/proc/self/fd")]
        links = [os.readlink(fd) for fd in fds if os.path.lexists(fd)]
        own = [os.open("/dev/null", os.O_RDONLY) for _ in range(50)]
        pid = os.fork()
        if not pid:
            os._exit(closed_count(own))
        status = os.waitpid(pid, 0)[1]
        os.write(theirs, b"%d %d" % (
            len([1 for link in links if "/spool/" in link]), status))
        os._exit(0)
    os.waitpid(pid, 0)
    os.close(theirs)
    with os.fdopen(ours, "rb") as stream:
        return stream.read()


def application(environ, start_response):
    size = b"%d" % len(environ["wsgi.input"].read())
    if environ["PATH_INFO"] == "/fork":
        size += b", forked: " + has_forked()
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [size]
END
        more   => "[limits]\n$LIMITS",
        conf   => $CONF,
        expect => qr/WEAVE0(?:19[01]|135)/);
    $spool = $httpd->dir . '/spool';
    mkdir $spool or die "$spool: $!";
    is +($httpd->configtest)[0], 0, 'configtest';
    $httpd->start;
    for my $size (3 * $MIB, 65_536, 65_537) {
        my $res = $httpd->request('POST', '/read',
            chunked => [unpack '(a65536)*', 'x' x $size]);
        is $res->body, $size, "$size bytes in chunks";
        is inflated($size)->body, $size, 'and inflated';
    }
    is inflated(3 * $MIB + 1)->status, 413, 'inflated bytes count';
    is $httpd->request('POST', '/read', chunked => [('x' x 65_536) x 49])
        ->status, 413, 'too large';
    is $httpd->request('POST', '/read', body => 'x' x (4 * $MIB))->body,
        4 * $MIB, 'one with a length is not spooled';
    ok eventually(sub { bodies() == 0 }), 'nothing is left';
    my $res = $httpd->request('POST', '/fork', chunked => ['x' x 65_536, 'x']);
    is $res->body, '65537, forked: 0 0', 'what the application forks has no file';
    my @crowd = crowd(undef);
    next_is_refused(undef);
    $_->close(1) for @crowd;
    ok eventually(sub { bodies() == 0 }), 'nothing is left';
    chmod 0, $spool or die "$spool: $!";
    $res = $httpd->request('POST', '/read', chunked => ['x' x 65_537]);
    is $res->status, 503, 'no file can be written';
    ok $res->header('Retry-After'), 'the client is to come again';
    like $httpd->log_text, qr/WEAVE0135/, 'the log says why';
    rmdir $spool or die "$spool: $!";
    my ($status, $said) = $httpd->configtest;
    isnt $status, 0, 'a folder that is not there';
    like $said, qr/WEAVE0125/, 'is found by configtest';
    ok defined $httpd->stop, 'httpd stops';
    $httpd->no_crash;
};
finish;
