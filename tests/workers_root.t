#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
#
# Worker processes of an httpd that root starts: several applications, each
# under a user of its own, with several Pythons; and who may do what to whom.

use strict;
use warnings FATAL => 'all';
use FindBin ();
use lib "$FindBin::Bin/../t/lib";

use File::Basename qw(dirname);
use File::Temp qw(tempdir);
use IO::Socket::INET ();
use IO::Socket::UNIX ();
use JSON::PP ();
use POSIX ();
use Test::More;

use WeaveTest::AsRoot;
use WeaveTest::Idle qw(wait_until_idle);

plan skip_all => 'needs root: workers change to users of their own' if $> != 0;

# Whom httpd serves as, and two others.
my @users = users();
plan skip_all => 'needs three ordinary users' if @users < 3;
my ($server, $one, $two) = @users;
my ($server_uid, $server_gid) = (getpwnam $server)[2, 3];
my ($group) = grep { defined getgrnam $_ } qw(games users mail);

my $root = tempdir('weave-root-XXXXXX', TMPDIR => 1, CLEANUP => 1);
chmod 0755, $root;
my $runtime = "$root/run";
my $httpd   = asked('SBINDIR') . '/' . asked('PROGNAME');
my $port    = free_port();
my $pid     = 0;

# Runs CODE as USER with no more groups than his own: what it returns, as text.
sub as_user {
    my ($user, $code) = @_;
    my ($uid, $gid) = (getpwnam $user)[2, 3];
    my $child = open my $from, '-|';
    die "fork: $!" unless defined $child;
    if (!$child) {
        $) = "$gid $gid";
        $( = $gid;
        ($<, $>) = ($uid, $uid);
        print $> == $uid ? $code->() : 'still root';
        close STDOUT;
        POSIX::_exit(0);
    }
    local $/;
    my $text = <$from>;
    close $from;
    return defined $text ? $text : '';
}

# ---- what is served ----

# The newest Python beside the system's that has an engine here, where others
# can read it: (version, program), or ().
sub other_python {
    my ($found) = grep { !m{-3\.\d+\.so$} || $_ ne system_engine() }
        reverse sort { minor($a) <=> minor($b) }
        glob build() . "/weave-engine-3.*.so";
    return () if !$found;
    my $version = '3.' . minor($found);
    my ($prefix) = slurp($found) =~ m{(/[\w./-]+)/lib\0};
    return () if !$prefix || !-x "$prefix/bin/python$version";
    my $full = qx('$prefix/bin/python$version' -c 'import platform; print(platform.python_version())');
    chomp $full;
    my $copy = $ENV{WEAVE_PYENV_COPY} || "/tmp/weave-pyenv-$full";
    if (!-x "$copy/bin/python$version") {
        mkdir $copy;
        system("cd '$prefix' && tar cf - --exclude='lib/python*/test'"
            . " --exclude=__pycache__ --exclude='*.a' . | tar xf - -C '$copy'"
            . " && chmod -R a+rX '$copy'");
    }
    return ($version, "$copy/bin/python$version");
}

sub minor { return $_[0] =~ /-3\.(\d+)\.so$/ ? $1 : -1 }

sub system_engine {
    my $link = readlink build() . "/weave-engine.so";
    return $link ? build() . "/$link" : '';
}

sub make_venv {
    my ($python, $dir) = @_;
    my $lib = dirname(dirname($python)) . '/lib';
    local $ENV{LD_LIBRARY_PATH} = $lib if $python !~ m{^/usr/};
    my ($exit, $text) = run($python, '-m', 'venv', '--without-pip', $dir);
    die "no virtualenv: $text" if $exit;
}

spew("$root/app.wsgi", slurp("$FindBin::Bin/../t/apps/workers_root.wsgi"));

# NAME.ini with the lines of each section.
sub ini {
    my ($name, %lines) = @_;
    my $text = "[wsgi]\nscript = $root/app.wsgi\n" . ($lines{wsgi} || '')
        . "[workers]\nprocesses = 1\nthreads = 2\n" . ($lines{workers} || '')
        . "[limits]\n" . ($lines{limits} || '');
    spew("$root/$name.ini", $text);
    chmod 0644, "$root/$name.ini";
    return "WeaveApp /$name $root/$name.ini\n";
}

sub configure {
    my $conf = shift;
    my $modules = modules_conf(qw(mpm_event unixd authz_core));
    spew("$root/httpd.conf", <<"END");
ServerRoot "$root"
ServerName localhost
Listen 127.0.0.1:$port
PidFile "$root/httpd.pid"
DefaultRuntimeDir "$root"
ErrorLog "$root/error_log"
LogLevel warn weave:info
$modules
LoadModule weave_module $root/lib/mod_weave.so
User $server
Group #$server_gid
StartServers 1
ServerLimit 32
WeaveRuntimeDir "$runtime"
WeaveStateDir "$runtime-state"
$conf
END
}

build_copy("$root/lib");
make_venv('/usr/bin/python3', "$root/venv");
my ($version, $python) = other_python();
make_venv($python, "$root/other") if $version;
mkdir "$root/$_" for qw(home full);
chown +(getpwnam $one)[2, 3], "$root/home" or die "chown: $!";
chmod 0700, "$root/home";

# ---- asking ----

# (status, body) of a request, or () when nobody answers.
sub ask {
    my ($method, $target, $body) = @_;
    my $socket = connected() or return;
    $body = '' unless defined $body;
    print $socket "$method $target HTTP/1.0\r\nHost: localhost\r\n"
        . 'Content-Length: ' . length($body) . "\r\n\r\n$body";
    local $/;
    my $answer = <$socket>;
    return defined $answer && $answer =~ m{^HTTP/\S+ (\d+).*?\r\n\r\n(.*)}s
        ? ($1, $2) : ();
}

sub connected {
    return IO::Socket::INET->new(
        PeerAddr => '127.0.0.1', PeerPort => $port, Timeout => 5);
}

sub json {
    my ($status, $body) = ask('GET', @_);
    return undef if !$status || $status != 200;
    return JSON::PP->new->allow_nonref->decode($body);
}

sub weavectl { return run("$root/lib/weavectl", '-d', $runtime, @_) }

sub start_httpd {
    my ($exit, $text) = run($httpd, '-f', "$root/httpd.conf", '-k', 'start');
    eventually(sub { ($pid) = slurp("$root/httpd.pid") =~ /(\d+)/ }) if !$exit;
    return ($exit, $text);
}

sub stop_httpd {
    return 1 if !$pid;
    wait_until_idle(1, map { split ' ', slurp($_) } glob "/proc/$pid/task/*/children");
    kill TERM => $pid;
    my $gone = eventually(sub { !alive($pid) });
    $pid = 0;
    return $gone;
}

sub log_text { return slurp("$root/error_log") }

END {
    local $?;
    if ($> == 0 && $root) {
        stop_httpd();
        system("umount '$root/full' 2>/dev/null");
    }
}

# ---- as it should be ----

my $full = system("mount -t tmpfs -o size=64k,mode=1777 weave '$root/full'"
    . ' 2>/dev/null') == 0;
my $conf = ini('server', wsgi => "virtualenv = $root/venv\n") . ini('mate')
    . ini('one',
        wsgi    => $version ? "virtualenv = $root/other\n" : '',
        workers => "user = $one\numask = 027\nhome = $root/home\n"
            . "env.GREETING = hello there\nenv.LANG = C\n")
    . ini('two',
        wsgi    => "virtualenv = $root/venv\n",
        workers => "user = $two\n" . ($group ? "group = $group\n" : ''),
        limits  => "spool_dir = $root/full\nspool_at = 1K\n");
configure($conf);
my ($checked, $notes) = run($httpd, '-f', "$root/httpd.conf", '-t');
is $checked, 0, 'configtest';
my $mates = "$root/server.ini $root/mate.ini\nSyntax OK\n";
like $notes, qr/\A.*WEAVE0202: .*own user, $server, .*: \Q$mates\E\z/,
    'notes which applications share the user of httpd';
chmod 0755, "$root/lib/weave-worker" or die "chmod: $!";
like +(run($httpd, '-f', "$root/httpd.conf", '-t'))[1],
    qr/WEAVE0220: everybody can read \Q$root\E\/lib\/weave-worker:/,
    'and that one could look into the other';
chmod 0711, "$root/lib/weave-worker" or die "chmod: $!";
my ($exit, $text) = start_httpd();
is $exit, 0, 'httpd starts' or BAIL_OUT($text . log_text());
for my $name (qw(server mate one two)) {
    ok eventually(sub { json("/$name/about") }), "$name is served"
        or diag log_text();
}
my %about = map { $_ => json("/$_/about") } qw(server mate one two);

sub groups_of {
    my ($user, $gid) = @_;
    my %groups = ($gid => 1);
    while (my @entry = getgrent) {
        $groups{ $entry[2] } = 1 if grep { $_ eq $user } split ' ', $entry[3];
    }
    endgrent;
    return [sort { $a <=> $b } keys %groups];
}

subtest 'users' => sub {
    my %want = (server => [$server_uid, $server_gid],
        mate => [$server_uid, $server_gid],
        one => [(getpwnam $one)[2, 3]],
        two => [(getpwnam $two)[2],
                $group ? scalar getgrnam $group : (getpwnam $two)[3]]);
    my %name = (server => $server, mate => $server, one => $one, two => $two);
    for my $app (sort keys %want) {
        my ($uid, $gid) = @{ $want{$app} };
        my $is = $about{$app};
        is_deeply $is->{uid}, [($uid) x 3], "$app: its user, for good";
        is_deeply $is->{gid}, [($gid) x 3], "$app: its group";
        is_deeply $is->{groups}, groups_of($name{$app}, $gid),
            "$app: its other groups, and none of root's";
        is_deeply json("/$app/root_again"), [], "$app: never root again";
        my $status = slurp("/proc/$is->{pid}/status");
        like $status, qr/^CapEff:\s*0+$/m, "$app: without capabilities";
        is $is->{env}{USER}, $name{$app}, "$app: USER";
        is $is->{env}{HOME}, (getpwnam $name{$app})[7], "$app: HOME";
    }
};

subtest 'processes' => sub {
    is $about{one}{cwd}, "$root/home", 'home';
    is $about{server}{cwd}, '/', 'without one, /';
    is $about{one}{umask}, 027, 'umask';
    is $about{one}{env}{GREETING}, 'hello there', 'env';
    is $about{one}{env}{LANG}, 'C', 'in place of ours';
    is $about{server}{env}{LANG}, 'C.UTF-8', 'which is there otherwise';
    is_deeply [grep { /^(?:PYTHON|BUILD|APXS|SUDO)/ }
        keys %{ $about{server}{env} }], [], 'nothing of who started httpd';
};

subtest 'Pythons' => sub {
    plan skip_all => 'there is an engine for one Python only' if !$version;
    is $about{one}{python}, $version, 'one has another';
    isnt $about{server}{python}, $version, 'than the others';
    is $about{two}{python}, $about{server}{python}, 'who share theirs';
};

# ---- who may do what ----

sub mode_of {
    my @stat = stat $_[0];
    return sprintf '%04o %d:%d', $stat[2] & 07777, @stat[4, 5];
}

my @sockets = glob "$runtime/w-*.sock";

subtest 'files' => sub {
    is mode_of($runtime), "0710 0:$server_gid", 'the runtime directory';
    is mode_of("$runtime/weaved.sock"), '0600 0:0', 'the socket of weaved';
    is scalar @sockets, 4, 'one socket for each worker';
    is mode_of($_), "0660 0:$server_gid", 'which are for httpd' for @sockets;
    like mode_of("$root/error_log"), qr/^06[04][04] 0:/,
        'only root writes the log';
};

sub connects {
    my $path = shift;
    return IO::Socket::UNIX->new(Peer => $path) ? 'connected' : "refused: $!";
}

subtest 'weavectl' => sub {
    is((weavectl('status'))[0], 0, 'root may ask');
    for my $user ($server, $one) {
        my $said = as_user($user,
            sub { join "\n", weavectl('status'), weavectl('reload') });
        like $said, qr/^[1-9]\d*\n.*\n[1-9]\d*\n/s, "$user may not";
        like $said, qr/only root|Permission denied/, 'and is told';
    }
    is json('/one/about')->{pid}, $about{one}{pid}, 'nothing was reloaded';
};

subtest 'weavectl in another container' => sub {
    my @other = qw(unshare --pid --fork --mount-proc);
    plan skip_all => 'this machine makes none' if (run(@other, 'true'))[0];
    my ($exit, $text) = run(@other, "$root/lib/weavectl", '-d', $runtime,
        qw(maintenance on --wait 20s));
    is $exit, 1, 'cannot tell what is in Python';
    like $text, qr/--wait: .* in another container/, 'and says so';
    is((weavectl(qw(maintenance on --wait 20s)))[0], 0, 'here it can');
    is((weavectl(qw(maintenance off)))[0], 0, 'off');
};

subtest 'sockets of workers' => sub {
    is as_user($server, sub { connects($sockets[0]) }), 'connected',
        'httpd\'s user may connect';
    for my $path (@sockets) {
        like as_user($one, sub { connects($path) }), qr/^refused/,
            "$one may not";
    }
};

# Another user has come by the place of a worker's socket and listens there:
# nothing is said to him, neither a HELLO nor what clients send.
subtest 'a listener of another user' => sub {
    my ($path) = map { $_->{socket} } grep { $_->{pid} == $about{one}{pid} }
        map { @{ $_->{workers} } } map { @{ $_->{generations} } }
        @{ JSON::PP->new->decode((weavectl('status', '--json'))[1])->{applications} };
    rename $path, "$path.real" or die "$path: $!";
    my $listener = IO::Socket::UNIX->new(Local => $path) or die "$path: $!";
    chmod 0666, $path;
    # he who calls listen() is the peer of whoever connects
    as_user($two, sub { listen $listener, 100 });
    my $before = () = log_text() =~ /WEAVE0138/g;
    kill USR1 => $pid; # no child has a connection from before
    my $heard = '';
    my $status;
    eventually(sub {
        ($status) = ask('GET', '/one/about');
        my $rin = '';
        vec($rin, fileno $listener, 1) = 1;
        while (select my $rout = $rin, undef, undef, 0) {
            my $peer = $listener->accept or last;
            $peer->blocking(0);
            sysread $peer, $heard, 1000, length $heard;
        }
        return (() = log_text() =~ /WEAVE0138/g) > $before;
    });
    is $heard, '', 'hears nothing';
    is $status, 503, 'the client hears that nobody is there';
    like log_text(), qr/WEAVE0138: .*another user than the one who started/,
        'and the log says why';
    unlink $path;
    rename "$path.real", $path or die "$path: $!";
    is json('/one/about')->{pid}, $about{one}{pid}, 'the worker is asked again';
};

# HELLO of a supervisor (src/core/weave_frame.h), by who runs as httpd's children
# do, and has not got the secret.
subtest 'who says that he is weaved' => sub {
    for my $path (@sockets) {
        my $said = as_user($server, sub {
            my $socket = IO::Socket::UNIX->new(Peer => $path) or return $!;
            syswrite $socket, pack 'LSCCLLLLx32', 0x464d5657, 5, 1, 0, 40, 0, $$, 2;
            sysread $socket, my $answer, 100;
            return length $answer ? 'welcome' : 'closed';
        });
        # two of them run as that very user, but are not its starter
        is $said, 'closed', 'is sent away';
    }
    my $count = sub {
        return scalar(() = log_text() =~ /WEAVE0200: refused process \d+ of user $server_uid/g);
    };
    eventually(sub { $count->() >= 4 });
    is $count->(), 4, 'and it is said';
};

subtest 'what belongs to others' => sub {
    my ($weaved) = slurp("$runtime/weaved.lock") =~ /(\d+)/;
    my @theirs = ("$root/error_log", "$runtime/weaved.sock",
        "$runtime/weaved.lock", "$root/one.ini", "$root/lib/weaved",
        map { ("/proc/$_/mem", "/proc/$_/fd/3", "/proc/$_/fd/4",
               "/proc/$_/fd/5") } $pid, $weaved,
            map { $about{$_}{pid} } qw(server one));
    is_deeply json('/two/reads?' . join ',', @theirs), [],
        'a worker can open nothing of them';
    # the user of httpd's children has started neither
    my @same = map { ("/proc/$_/mem", "/proc/$_/fd/3") }
        $about{mate}{pid}, grep { slurp("/proc/$_/comm") !~ /^weaved/ }
        split ' ', join ' ', map { slurp($_) } glob "/proc/$pid/task/*/children";
    cmp_ok scalar @same, '>', 4, 'httpd has children';
    is_deeply json('/server/reads?' . join ',', @same), [],
        'nor one of the same user as another, or as httpd';
};

# ---- no room ----

subtest 'a full disk' => sub {
    plan skip_all => 'nothing can be mounted here' if !$full;
    my ($status) = ask('POST', '/two/size', 'x' x 300_000);
    is $status, 503, 'an upload: 503';
    eventually(sub { log_text() =~ /WEAVE0135/ });
    my @lines = log_text() =~ /^.*WEAVE0135.*$/mg;
    is scalar @lines, 1, 'one line of the log';
    like $lines[0], qr/No space left.*WEAVE0135.*\Q$root\E\/full/,
        'that says why, and where';
    is((ask('POST', '/two/size', 'x' x 30_000))[1], '30000',
        'what there is room for is read');
    is((ask('POST', '/one/size', 'x' x 300_000))[1], '300000',
        'as are those of others');
    my @slow = map { connected() } 1 .. 2;
    print $_ "GET /two/large HTTP/1.0\r\n\r\n" for @slow;
    ok eventually(sub { log_text() =~ /WEAVE0094: .*\Q$root\E\/full: No space/ }),
        'an answer to a slow reader: said';
    for my $reader (@slow) {
        local $/;
        my $answer = <$reader>;
        is length($answer =~ s/.*?\r\n\r\n//sr), (8 << 20) + 2, 'but it is whole';
    }
};

# ---- the log ----

subtest 'rotation' => sub {
    rename "$root/error_log", "$root/error_log.1" or die $!;
    kill USR1 => $pid;
    # by then weaved has it, too
    ok eventually(sub { log_text() =~ /resuming normal operations/ }),
        'there is a new log'
        or diag slurp("$root/error_log.1");
    for my $app (qw(server one two)) {
        my $before = () = log_text() =~ /outside of a request/g;
        json("/$app/later");
        ok eventually(sub {
            (() = log_text() =~ /outside of a request/g) > $before }),
            "with the lines of $app";
        is json("/$app/about")->{pid}, $about{$app}{pid}, 'the same worker';
    }
    unlike slurp("$root/error_log.1"), qr/outside of a request/,
        'none is in the old one';
    unlink "$root/error_log.1";
};

# ---- what is refused ----

sub refused {
    my ($name, $want, $change, %lines) = @_;
    configure(ini('bad', %lines));
    $change->("$root/bad.ini") if $change;
    my ($status, $said) = run($httpd, '-f', "$root/httpd.conf", '-t');
    isnt $status, 0, "$name: refused";
    like $said, $want, "$name: the reason";
    unlink "$root/bad.ini";
}

my $others = qr/WEAVE0003: \S+ decides what runs here, but users other than root can write/;
refused('others may write', $others, sub { chmod 0666, $_[0] });
refused('a group may write', $others, sub { chmod 0664, $_[0] });
refused('it belongs to another', $others, sub { chown $server_uid, -1, $_[0] });
refused('what it extends does', $others, sub {
    spew("$root/base.ini", "[extra]\nkey = value\n");
    chown $server_uid, -1, "$root/base.ini";
    spew($_[0], "[DEFAULT]\nextends = base.ini\n" . slurp($_[0]));
});
refused('root as a user', qr/WEAVE0123/, undef, workers => "user = root\n");

subtest 'a bad ini in a running server' => sub {
    configure($conf);
    chmod 0666, "$root/one.ini";
    kill USR1 => $pid;
    ok eventually(sub { log_text() =~ $others }), 'is said';
    ok eventually(sub { json('/one/about') }), 'what runs goes on';
    is json('/one/about')->{pid}, $about{one}{pid}, 'as it was';
    chmod 0644, "$root/one.ini";
};

# ---- the end ----

my @left = map { $_->{pid} } values %about;
ok stop_httpd(), 'httpd stops';
ok eventually(sub { !grep { alive($_) } @left }), 'no worker is left';
is_deeply [glob "$runtime/*"], [], 'nor a socket';
my @bad = grep { !/WEAVE00(?:03|13|94)|WEAVE013[58]|WEAVE0200|outside of a/ }
    grep { /:(?:warn|error|crit|alert|emerg)\]|exit signal|Traceback/ }
    split /\n/, log_text();
is scalar @bad, 0, 'nothing unexpected in the error log'
    or diag join "\n", @bad;
done_testing();
