#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
#
# A local user who owns a folder above that of the sockets, of what weavectl has
# said, of a sync.ini or of a virtualenv cannot have root go elsewhere. The
# application's own user may own those above its sync.ini and its virtualenv.

use strict;
use warnings FATAL => 'all';
use FindBin ();
use lib "$FindBin::Bin/../t/lib";

use File::Temp qw(tempdir);
use IO::Socket::INET ();
use IO::Socket::UNIX ();
use Test::More;

use WeaveTest::AsRoot;

plan skip_all => 'needs root: the attacker is another user' if $> != 0;
my @users = users();
plan skip_all => 'needs three ordinary users' if @users < 3;
my ($server, $alice, $mallory) = @users;
my ($server_group) = (getpwnam $server)[3];

my $root = tempdir('weave-f-XXXXXX', TMPDIR => 1, CLEANUP => 1);
chmod 0755, $root;
my $httpd = asked('SBINDIR') . '/' . asked('PROGNAME');
my $pid   = 0;
my $port  = free_port();

# A folder of USER.
sub folder {
    my ($name, $user, $mode) = @_;
    my $path = "$root/$name";
    mkdir $path or die "$path: $!";
    chown +(getpwnam $user)[2, 3], $path or die "$path: $!";
    chmod $mode || 0755, $path;
    return $path;
}

build_copy("$root/lib");
spew("$root/app.wsgi", <<'END');
import os
def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"%d %d" % (os.getpid(), os.getuid())]
END

sub make_venv {
    my ($dir, $user) = @_;
    my ($exit, $text) = run('/usr/bin/python3', '-m', 'venv', '--without-pip', $dir);
    die "no virtualenv: $text" if $exit;
    system('chown', '-hR', $user, $dir) == 0 or die 'chown';
    return $dir;
}

# The text of a sync.ini of USER ('': httpd's), with a virtualenv or without.
sub ini {
    my ($user, $venv) = @_;
    return "[wsgi]\nscript = $root/app.wsgi\n"
        . ($venv ? "virtualenv = $venv\n" : '')
        . "[workers]\nprocesses = 1\nthreads = 2\n"
        . ($user ? "user = $user\n" : '');
}

sub configure {
    my ($runtime, $state, @mounts) = @_;
    my $modules = modules_conf(qw(mpm_event unixd authz_core));
    my $apps = join '', map { "WeaveApp $_\n" } @mounts;
    spew("$root/httpd.conf", <<"END");
ServerRoot "$root"
ServerName localhost
Listen 127.0.0.1:$port
PidFile "$root/httpd.pid"
DefaultRuntimeDir "$root"
ErrorLog "$root/error_log"
$modules
LoadModule weave_module $root/lib/mod_weave.so
User $server
Group #$server_group
StartServers 1
ServerLimit 32
WeaveRuntimeDir "$runtime"
WeaveStateDir "$state"
$apps
END
}

sub configtest { return run($httpd, '-f', "$root/httpd.conf", '-t') }
sub log_text { return slurp("$root/error_log") }

sub ask {
    my $socket = IO::Socket::INET->new(PeerAddr => '127.0.0.1',
        PeerPort => $port, Timeout => 10) or return '';
    print $socket "GET $_[0] HTTP/1.0\r\nHost: localhost\r\n\r\n";
    local $/;
    my $answer = <$socket>;
    return defined $answer && $answer =~ m{^HTTP/\S+ 200 .*?\r\n\r\n(.*)}s ? $1 : '';
}

sub start_httpd {
    my ($exit, $text) = run($httpd, '-f', "$root/httpd.conf", '-k', 'start');
    eventually(sub { ($pid) = slurp("$root/httpd.pid") =~ /(\d+)/ }) if !$exit;
    return ($exit, $text);
}

sub stop_httpd {
    return 1 if !$pid;
    kill TERM => $pid;
    my $gone = eventually(sub { !alive($pid) });
    $pid = 0;
    return $gone;
}

END {
    local $?;
    stop_httpd() if $> == 0 && $root;
}

# ---- places ----

mkdir "$root/etc";
my $home  = folder('home', $alice, 0750);
chown +(getpwnam $alice)[2], $server_group, $home;
my $plain = spew("$root/etc/sync.ini", ini(''));
make_venv("$home/venv", $alice);
symlink "$home/venv", "$home/current" or die "link: $!";
my $hers  = spew("$home/sync.ini",
    ini($alice, "$home/current") . "[release]\nreload = touch\n");
my $his   = folder('mallory', $mallory);
my $open  = folder('open', 'root', 0777);
my ($run, $state) = ("$root/run", "$root/state");

subtest 'a user may own the folders above a sync.ini and a virtualenv' => sub {
    configure($run, $state, "/ $hers");
    is_deeply [configtest()], [0, "Syntax OK\n"], 'configtest';
    is((start_httpd())[0], 0, 'httpd starts') or diag log_text();
    my $uid = getpwnam $alice;
    ok eventually(sub { ask('/') =~ /^\d+ $uid$/ }), 'and serves, as that user'
        or diag log_text();

    # only root can exchange it; weaved looks again for each generation
    rename $home, "$home.old" or die "rename: $!";
    folder('home', $mallory);
    system("cp -a '$home.old/.' '$home' && chown -hR $mallory '$home'") == 0 or die 'cp';
    my ($exit, $text) = run("$root/lib/weavectl", '-d', $run, 'reload');
    isnt $exit, 0, 'a sync.ini of another is refused as by configtest';
    like $text, qr/WEAVE0003: \Q$home\E/, 'with its words';
    chown 0, 0, "$home/sync.ini";
    ($exit, $text) = run("$root/lib/weavectl", '-d', $run, 'reload');
    isnt $exit, 0, 'a virtualenv of another is not taken by weaved either';
    like $text, qr/\Q$home\E.* belongs to $mallory\b/, 'which says why';
    system('rm', '-rf', $home);
    rename "$home.old", $home or die "rename: $!";
    ok ask('/'), 'what runs goes on';

    # weaved looks at the link once a second
    unlink "$home/current" or die "unlink: $!";
    symlink make_venv(folder('elsewhere', $mallory) . '/venv', $mallory),
        "$home/current" or die "link: $!";
    sleep 4;
    is +(() = log_text() =~ /WEAVE0083/g), 1,
        'a link to a virtualenv of another does not fill the log';
    ok ask('/'), 'and what runs goes on';
    ok stop_httpd(), 'and stops';
};

# ---- what is refused ----

# configtest names FOLDER, with NUMBER and WANT, and the cure.
sub refused {
    my ($name, $number, $folder, $want) = @_;
    my ($exit, $text) = configtest();
    isnt $exit, 0, "$name: refused";
    like $text, qr/$number: .*\Q$folder\E\b.*$want/, "$name: the reason"
        or diag $text;
    return $text;
}

my $of_his = "belongs to $mallory .*0755.*`chown root ";
configure("$his/run", $state, "/ $plain");
unlike refused('sockets below the folder of another', 'WEAVE0162', $his, $of_his),
    qr/\[workers\]/, 'no user of an application is meant';
configure("$open/run", $state, "/ $plain");
refused('sockets where all may write', 'WEAVE0162', $open, '0777.*`chmod go-w ');

# "Syntax OK", and then 503 for ever
subtest 'a folder that httpd\'s children cannot enter' => sub {
    my $closed = folder('closed', 'root', 0700);
    my $mine   = folder('mine', 'root', 0700);
    for my $folder ("$closed/run", $mine) {
        my ($name) = $folder =~ m{^(\Q$root\E/\w+)};
        configure($folder, $state, "/ $plain");
        my ($exit, $text) = run($httpd, '-f', "$root/httpd.conf", '-k', 'start');
        isnt $exit, 0, "$folder: the start fails";
        my ($said) = refused($folder, 'WEAVE0261', $folder,
            "cannot enter $name .*`chmod o\\+x $name`") =~ /(WEAVE0261.*)/;
        like $text, qr/\Q$said\E/, 'with the same words';
        ok !-s "$root/httpd.pid", 'httpd does not run';
    }
    chown 0, $server_group, $mine;
    chmod 0710, $mine;
    is((configtest())[0], 0, 'a folder that they can');
    is((start_httpd())[0], 0, 'httpd starts') or diag log_text();
    ok eventually(sub { ask('/') }), 'and serves';
    chmod 0700, $mine;
    ok eventually(sub { (run("$root/lib/weavectl", '-d', $mine, 'status'))[1]
        =~ /\Q$mine\E: httpd's children cannot enter this folder.*WEAVE0064/ }),
        'closed later, weavectl says so';
    like log_text(), qr/WEAVE0064: .*\Q$mine\E.*`chgrp/, 'and the log has the cure';
    ok stop_httpd(), 'httpd stops';
    # what weaved has made, it opens to them
    spew("$mine/weaved.lock", "1\n");
    chmod 0700, $mine;
    is((start_httpd())[0], 0, 'httpd starts') or diag log_text();
    ok eventually(sub { ask('/') }), 'and serves';
    is((configtest())[0], 0, 'the folder is its own');
    ok stop_httpd(), 'and stops';
    configure("$root/none/run", $state, "/ $plain");
    refused('no folder above', 'WEAVE0162', "$root/none", 'No such file');
};

# Otherwise children could not read what weavectl says, and answer 503.
subtest 'folders that are made under a narrow umask' => sub {
    my @narrow = map { "$root/narrow-$_" } qw(run state);
    configure(@narrow, "/ $plain");
    my $before = umask 077;
    is((start_httpd())[0], 0, 'httpd starts') or diag log_text();
    ok eventually(sub { ask('/') }), 'and serves' or diag log_text();
    my @weavectl = ("$root/lib/weavectl", '-d', $narrow[0], 'maintenance');
    is((run(@weavectl, 'on'))[0], 0, 'maintenance on');
    is ask('/'), '', 'holds';
    is((run(@weavectl, 'off'))[0], 0, 'maintenance off');
    ok ask('/'), 'holds, too';
    umask $before;
    ok stop_httpd(), 'httpd stops';
};

spew("$his/sync.ini", ini($alice));
configure($run, $state, "/ $his/sync.ini");
refused('a sync.ini in the folder of another', 'WEAVE0160', $his, $of_his);
spew("$home/other.ini", ini(''));
configure($run, $state, "/ $home/other.ini");
refused('in that of a user whom it does not name', 'WEAVE0160', $home,
    'belongs to ');

symlink $plain, "$his/link.ini" or die "link: $!";
configure($run, $state, "/ $his/link.ini");
refused('a link in the folder of another', 'WEAVE0160', $his, $of_his);

# root would read for alice what she may not
spew("$root/etc/secret.ini", "[secret]\nkey = value\n");
chmod 0600, "$root/etc/secret.ini";
symlink "$root/etc/secret.ini", "$home/extra.ini" or die "link: $!";
system('chown', '-h', $alice, "$home/extra.ini");
spew("$root/etc/extends.ini",
    "[DEFAULT]\nextends = $home/extra.ini\n" . ini($alice));
configure($run, $state, "/ $root/etc/extends.ini");
refused('a link of the user to a file of root', 'WEAVE0160', "$home/extra.ini",
    'a link on the way.*`chown -h root ');

spew("$root/etc/venv.ini", ini('', make_venv("$his/venv", $mallory)));
configure($run, $state, "/ $root/etc/venv.ini");
like refused('a virtualenv in the folder of another', 'WEAVE0161', $his, $of_his),
    qr/`user = $mallory` in \[workers\]/, 'or the application may run as that user';

# where releases are made, its owner is trusted, and only there
my $inside = spew("$root/etc/inside.ini",
    ini('', "$his/venv") . "[release]\nhome = $his\n");
configure($run, $state, "/ $inside");
my ($fails, $text) = configtest();
is $fails, 0, 'release.home of another user is all right' or diag $text;
chmod 0775, $his;
refused('release.home that others may write in', 'WEAVE0161', $his, 'chmod go-w ');
chmod 0755, $his;
spew("$root/etc/outside.ini", ini('', "$his/venv") . "[release]\nhome = $his/ven\n");
configure($run, $state, "/ $root/etc/outside.ini");
refused('a virtualenv beside release.home', 'WEAVE0161', $his, $of_his);

spew("$his/app.wsgi", slurp("$root/app.wsgi"));
my $script = spew("$root/etc/script.ini",
    ini('') =~ s{^script = .*}{script = $his/app.wsgi}mr
        =~ s{\[workers\]}{python_path = $open\n[workers]}r);
configure($run, $state, "/ $script");
my ($passes, $said) = configtest();
is $passes, 0, 'a script in the folder of another is no error';
like $said, qr/WEAVE0163: \Q$script\E:2: wsgi\.script: .*\Q$his\E.*$of_his/, 'but said';
like $said, qr/WEAVE0163: \Q$script\E:3: wsgi\.python_path: .*\Q$open\E.*0777/,
    'as is a folder of modules that all may write in';

configure($run, "$his/state", "/ $plain");
like +(configtest())[1], qr/WEAVE0150: .*\Q$his\E.*$of_his/,
    'the state below the folder of another: said';

subtest 'start and weavectl' => sub {
    configure("$his/run", $state, "/ $plain");
    my ($exit, $text) = run($httpd, '-f', "$root/httpd.conf", '-k', 'start');
    isnt $exit, 0, 'the start fails';
    like $text, qr/WEAVE0162: .*\Q$his\E.*$of_his/, 'and says why';
    ok !-s "$root/httpd.pid", 'httpd does not run';
    ok !-e "$his/run", 'nothing was made there';

    # he has made what weavectl looks for
    mkdir "$his/run";
    my $listens = IO::Socket::UNIX->new(Local => "$his/run/weaved.sock",
        Listen => 5) or die "socket: $!";
    $listens->blocking(0);
    # which names a folder of root's
    mkdir $state;
    spew("$his/run/httpd.json", qq({"format": "mod_weave httpd", "version": 2,
        "pid": $$, "state_dir": "$state", "applications": []}));
    system('chown', '-R', $mallory, "$his/run");
    for my $command (['reload'], ['status'], ['maintenance'],
                     ['maintenance', 'on'],
                     ['-s', "$his/run", 'maintenance', 'on']) {
        my ($status, $text) = run("$root/lib/weavectl", '-d', "$his/run", @$command);
        isnt $status, 0, "weavectl @$command fails";
        like $text, qr/\Q$his\E.*$of_his/, 'and says why';
    }
    ok !$listens->accept, 'and has connected to nobody';
    is_deeply [sort map { s{.*/}{}r } glob "$his/run/*"], ['httpd.json', 'weaved.sock'],
        'nor written there';
    ok !-e "$state/maintenance.json", 'nor where he says';
};

# ---- what has been looked at is what is used ----

subtest 'a folder above is exchanged' => sub {
    mkdir "$root/above";
    configure("$root/above/run", "$root/above/state", "/ $plain");
    is((start_httpd())[0], 0, 'httpd starts');
    my ($first) = eventually(sub { ask('/') }) =~ /^(\d+)/;
    ok $first, 'and serves' or diag log_text();

    # by root, as nobody else can
    rename "$root/above", "$root/old" or die "rename: $!";
    my @there = map { folder("above$_", $mallory) } '', qw(/run /state);
    my $before = () = glob "$root/old/run/w-*";
    kill KILL => $first;
    ok eventually(sub { !alive($first) }), 'a worker dies';
    ok eventually(sub {
        my ($new) = grep { !/\b$first\b/ } glob "$root/old/run/w-*-2.sock";
        $new;
    }), 'the socket of its successor is in the folder of before';
    is_deeply [glob "$root/above/*/*"], [], 'and nothing in the new one';
    my ($status, $text) = run("$root/lib/weavectl", '-d', "$root/above/run", '-s',
        "$root/above/state", 'maintenance', 'on');
    isnt $status, 0, 'weavectl changes nothing';
    like $text, qr{\Q$root\E/above.*belongs to }, 'and says why';
    ok eventually(sub { log_text() =~ /WEAVE0068/ }), 'weaved sees it';
    kill USR1 => $pid;
    ok eventually(sub { log_text() =~ /WEAVE0063: .*\Q$root\E\/above/ }),
        'graceful says so';
    ok kill(0, $pid), 'httpd goes on';
    is_deeply [glob "$root/above/*/*"], [], 'still nothing in the new one';
    ok stop_httpd(), 'httpd stops';
    is_deeply [glob "$root/old/run/*.sock"], [], 'and removes what is its own';
};

done_testing();
