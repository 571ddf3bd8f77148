# SPDX-License-Identifier: Apache-2.0
#
# Two applications of one user: what runs in the one does all it can to send
# requests to the other, past httpd and its access control, and to look into it.

use strict;
use warnings FATAL => 'all';
use POSIX ();
use Test::More;
use WeaveTest;
use WeaveTest::Load ();
use WeaveTest::Rogue ();
use WeaveTest::Wire;
use WeaveTest::Workers;

my $app = slurp(root() . '/apps/workers.wsgi') . <<'END';


def relay(environ):
    """What comes back for the body at the UNIX socket in the query."""
    import select
    import socket
    came = b""
    with socket.socket(socket.AF_UNIX) as other:
        other.connect(environ["QUERY_STRING"])
        try:
            other.sendall(environ["wsgi.input"].read())
            # until it is clear what it is: two frames, a line, or the end
            while came.count(b"WVMF") < 2 and not came.endswith(b"\n") \
                    and select.select([other], [], [], 20)[0]:
                data = other.recv(65536)
                came += data
                if not data:
                    came += b"closed"
                    break
        except OSError:
            came += b"closed"
    return came.hex()


def looks(environ):
    """The ways in which this process can look into another one."""
    pid, found = int(environ["QUERY_STRING"]), []
    libc = ctypes.CDLL(None, use_errno=True)
    libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
    for name in "mem", "maps", "environ", "auxv", "fd", "map_files", "syscall", "stack":
        try:
            path = "/proc/%d/%s" % (pid, name)
            if os.path.isdir(path):
                os.listdir(path)
            else:
                with open(path, "rb") as stream:
                    stream.read(0 if name == "mem" else 1)
            found.append(name)
        except OSError:
            pass

    class Vector(ctypes.Structure):
        _fields_ = [("base", ctypes.c_void_p), ("len", ctypes.c_size_t)]
    here = ctypes.create_string_buffer(8)
    # the program lies elsewhere in each process, libc where it likes: a wrong
    # address fails by EFAULT, and only who may look gets that far
    if libc.process_vm_readv(pid, ctypes.byref(Vector(ctypes.addressof(here), 8)), 1,
                             ctypes.byref(Vector(ctypes.addressof(here), 8)), 1, 0) >= 0 \
            or ctypes.get_errno() != 1:
        found.append("process_vm_readv")
    pidfd = libc.syscall(434, pid, 0)
    if pidfd >= 0:
        if libc.syscall(438, pidfd, 4, 0) >= 0:
            found.append("pidfd_getfd")
        os.close(pidfd)
    if libc.ptrace(0x4206, pid, None, None) == 0:
        found.append("ptrace")
        libc.ptrace(17, pid, None, None)
    return " ".join(found)


def passing(environ):
    """Can it pass a descriptor to the UNIX socket in the query?"""
    import array
    import socket
    with socket.socket(socket.AF_UNIX) as other:
        other.connect(environ["QUERY_STRING"])
        try:
            other.sendmsg([b"x"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS,
                                    array.array("i", [other.fileno()]))])
            return "passed"
        except PermissionError:
            return "refused"


def dumpable(environ):
    return str(ctypes.CDLL(None).prctl(3, 0, 0, 0, 0))


def text(environ):
    with open(environ["weave.ini"]) as stream:
        return stream.read()
END

my $httpd = WeaveTest::Rogue->telling(
    app     => $app,
    workers => "processes = 1\nthreads = 4\n",
    conf    => <<'END',
WeaveApp / "DIR/sync.ini"
WeaveApp /other "DIR/other.ini"
<Location /other/who>
    Require env allowed
</Location>
END
    expect => qr/WEAVE0200|WEAVE009[23]|WEAVE0075|WEAVE0131|AH01630/);
$httpd->write('other.ini', slurp($httpd->dir . '/sync.ini'));
$httpd->start;

sub is_ready { return my ($pid) = workers($httpd, qr/$_[0]\.ini$/) }
ok eventually(sub { is_ready('sync') && is_ready('other') }), 'both serve';

sub pid_of { return (is_ready($_[0]))[0] }

sub socket_of {
    my $pid = pid_of($_[0]);
    return (map { $_->{socket} } grep { $_->{pid} == $pid }
        map { @{ $_->{workers} } } map { @{ $_->{generations} } }
        @{ status($httpd)->{applications} })[0];
}

# Has the first application send BYTES to a worker: the types of the frames that
# come back, and 'closed' where the worker closes the connection.
sub told {
    my ($to, $bytes) = @_;
    my $came = pack 'H*',
        $httpd->request('POST', '/relay?' . socket_of($to), body => $bytes)->body;
    my @types;
    while ($came =~ s/^WVMF//) {
        my (undef, $type, undef, $more) = unpack 'SCCL', $came;
        push @types, $type;
        substr $came, 0, 12 + $more, '';
    }
    return join ' ', @types, $came || ();
}

# Is SECRET in the memory of PID, as bytes or as digits?
sub remembers {
    my ($pid, $secret) = @_;
    my $want = join '|', map { quotemeta } $secret, pack 'H*', $secret;
    open my $memory, '<:raw', "/proc/$pid/mem" or die "/proc/$pid/mem: $!";
    no warnings 'portable'; # addresses have more than 32 bits
    for my $line (grep { / rw/ } split /\n/, slurp("/proc/$pid/maps")) {
        my ($begin, $end) = map { hex } $line =~ /^(\w+)-(\w+)/;
        next if $end - $begin > 1 << 28; # ASan's
        sysseek $memory, $begin, 0 or next;
        sysread $memory, my $bytes, $end - $begin or next;
        return 1 if $bytes =~ /$want/;
    }
    return 0;
}

my %secret = map { $_ => $httpd->secret("$_.ini") } qw(sync other);
my $load = WeaveTest::Load->start($httpd->port, '/other/sleep?s=0.01',
    clients => 2, keep_alive => 1);

subtest 'requests past httpd' => sub {
    isnt $secret{sync}, $secret{other}, 'each application has its own secret';
    is $httpd->get('/other/who')->status, 403, 'httpd lets nobody in';
    my $request = request('/who');
    like told('sync', hello_of(1, $secret{sync}) . $request),
        qr/^$TYPE{WELCOME} $TYPE{HEAD}/, 'with the right secret it is answered';
    my $near = $secret{other};
    substr($near, -1) =~ tr/0-9a-f/1-9a-f0/;
    my %hello = (
        'none'          => frame_of(HELLO => pack 'LL', $$, 1),
        'zeros'         => hello_of(1, '0' x 64),
        'its own'       => hello_of(1, $secret{sync}),
        'one bit off'   => hello_of(1, $near),
        'weaved\'s'     => hello_of(2, $secret{sync}),
        'weaved\'s, and none' => hello_of(2, '0' x 64),
        'no HELLO'      => '',
    );
    for my $name (sort keys %hello) {
        is told('other', $hello{$name} . $request), 'closed', "$name: closed";
    }
    # as mod_weave was before there was a secret
    is told('other', frame_of(HELLO => pack('LL', $$, 1), version => 2)
        . request('/who', version => 2)), 'closed', 'another version: closed';
    my @said = $httpd->log_text =~ /WEAVE0200: refused process (\d+)/g;
    is_deeply \@said, [pid_of('sync')], 'it is said, not each time';
};

# A connection that lingers (SO_LINGER) would hold up who drops it.
subtest 'passing descriptors without the secret' => sub {
    my ($major, $minor) = (POSIX::uname())[2] =~ /^(\d+)\.(\d+)/;
    plan skip_all => 'Linux 6.16 lets a socket refuse descriptors'
        if $major < 6 || ($major == 6 && $minor < 16);
    is $httpd->get("/passing?$_")->body, 'refused', $_
        for socket_of('other'), $httpd->runtime . '/weaved.sock';
};

# Where one user has started all, it may ask weaved, too: what weavectl asks, no more.
subtest 'asking weaved' => sub {
    my $weaved = status($httpd)->{pid};
    my %want = (status => 'true', want => 'false', log => 'false', stop => 'false');
    for my $op (sort keys %want) {
        my $came = $httpd->request('POST', '/relay?' . $httpd->runtime . '/weaved.sock',
            body => qq({"op": "$op", "version": 6, "apps": []}\n))->body;
        like pack('H*', $came), qr/^\{"ok":$want{$op},.*$/m, "$op: $want{$op}";
    }
    is status($httpd)->{pid}, $weaved, 'weaved goes on';
};

subtest 'looking into the other' => sub {
    for my $name (qw(sync other)) {
        my $prefix = $name eq 'other' ? '/other' : '';
        is $httpd->get("$prefix/dumpable")->body, '0', "$name: no core";
        my ($victim) = grep { $_ ne $name } qw(sync other);
        is $httpd->get("$prefix/looks?" . pid_of($victim))->body, '',
            "$name: sees nothing of $victim";
    }
};

subtest 'where it is not' => sub {
    my @files = grep { -f } map { glob "$_/*" } $httpd->runtime, $httpd->state,
        $httpd->dir;
    for my $name (sort keys %secret) {
        my @found = grep { !/secret-/ && index(slurp($_), $secret{$name}) >= 0 } @files;
        is_deeply \@found, [], "$name: in no file, no log";
        my @procs = grep {
            index(eval { slurp("/proc/$_/cmdline") } || '', $secret{$name}) >= 0
        } $httpd->pid, descendants($httpd->pid);
        is_deeply \@procs, [], "$name: in no argument";
        for my $command (['status', '--json'], ['status'], ['config']) {
            unlike +(weavectl($httpd, @$command))[1], qr/$secret{$name}/,
                "$name: not in what weavectl @$command says";
        }
    }
};

subtest 'a file of before is read by who cannot be looked into' => sub {
    my $ini = $httpd->dir . '/sync.ini';
    my $before = slurp($ini);
    my ($old)  = pid_of('sync');
    $httpd->write('sync.ini', "$before# more\n[later]\nkey = value\n");
    kill TERM => $old; # weavectl reload would ask for a graceful restart
    ok gone($old), 'a new worker';
    ok eventually(sub { pid_of('sync') }), 'serves';
    like $httpd->get('/ini')->body, qr{^/proc/self/fd/\d+$}, 'with a text of its own';
    unlike $httpd->get('/text')->body, qr/later/, 'that it can read';
    $httpd->write('sync.ini', $before);
};

subtest 'a secret lasts' => sub {
    my ($weaved, @pids) = (status($httpd)->{pid}, map { pid_of($_) } qw(sync other));
    ok $httpd->renew, 'a graceful';
    is $httpd->get('/other/sleep')->status, 200, 'new children have it';
    kill KILL => $weaved;
    ok eventually(sub {
        my $now = status($httpd);
        $now && $now->{pid} != $weaved && pid_of('sync') && pid_of('other');
    }), 'another weaved';
    is_deeply [map { pid_of($_) } qw(sync other)], \@pids, 'goes on with the workers';
    reloads($httpd);
    ok gone($_), "$_ leaves as it is told" for @pids;
    is $httpd->secret("$_.ini"), $secret{$_}, "$_: its successor has the same"
        for sort keys %secret;
};

my ($answered, $reopened, @failures) = $load->stop;
cmp_ok $answered, '>', 20, 'others were served all the time';
is_deeply \@failures, [], 'each of them';

subtest 'cores that are wanted' => sub {
    my $conf = slurp($httpd->dir . '/httpd.conf');
    $httpd->write('httpd.conf', "${conf}CoreDumpDirectory " . $httpd->dir . "\n");
    ok $httpd->renew, 'a graceful';
    reloads($httpd);
    is $httpd->get('/dumpable')->body, '1', 'can be had';
    for my $name (sort keys %secret) {
        my $pid = pid_of($name);
        ok remembers($pid, $secret{$name}), "then $name shows its secret to its user";
        my ($other) = grep { $_ ne $name } sort keys %secret;
        ok !remembers($pid, $secret{$other}), "and it has no other";
        unlike slurp("/proc/$pid/environ"), qr/$secret{$name}/, 'nor one for programs';
    }
};

ok defined $httpd->stop, 'httpd stops';
$httpd->no_crash;
finish;
