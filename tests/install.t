#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
#
# Serves from where `make install` puts things, through the system's own httpd
# configuration, and takes it all out again. Everything happens in a copy of
# that configuration: the system stays as it is.

use strict;
use warnings FATAL => 'all';
use FindBin ();
use lib "$FindBin::Bin/../t/lib";

use Cwd qw(abs_path);
use File::Basename qw(dirname);
use File::Find qw(find);
use File::Temp qw(tempdir);
use IO::Socket::INET ();
use Test::More;

use WeaveTest::AsRoot;

chdir top() or die top() . ": $!";

plan skip_all => 'needs root: httpd changes to its own user' if $> != 0;
my $confdir   = asked('SYSCONFDIR');
my $libexec   = asked('LIBEXECDIR');
my $is_debian = -d "$confdir/mods-available";
plan skip_all => "needs Debian's layout of httpd's configuration"
    if !$is_debian || !-e "$confdir/apache2.conf";

my $root = tempdir('weave-install-XXXXXX', TMPDIR => 1, CLEANUP => 1);
chmod 0755, $root;
my $port = free_port();
my $pid_file = "$root/run/apache2.pid";

sub edit {
    my ($file, $change) = @_;
    local $_ = slurp($file);
    $change->();
    spew($file, $_);
}

# Runs a command; true when it succeeds. What it says is only shown otherwise.
sub run_ok {
    my ($name, @command) = @_;
    my $log = "$root/log";
    my $pid = fork // die "fork: $!";
    if (!$pid) {
        open STDOUT, '>', $log or die "$log: $!";
        open STDERR, '>&', \*STDOUT;
        exec @command or die "$command[0]: $!";
    }
    waitpid $pid, 0;
    ok($? == 0, $name) or diag(slurp($log));
    return $? == 0;
}

sub files {
    my %found;
    find(sub { $found{$File::Find::name} = 1 if !-d || -l }, $root);
    delete $found{"$root/log"};
    return \%found;
}

sub make {
    my ($name, $target, @more) = @_;
    return run_ok($name, 'make', '--no-print-directory', $target,
        "DESTDIR=$root", @more);
}

# ---- a copy of the system's configuration, on a port of its own ----

sub copy_system {
    my $copy = "$root$confdir";
    system('mkdir', '-p', "$root/run", "$root/lock", "$root/log.d",
        dirname($copy)) == 0
        or die 'mkdir failed';
    system('cp', '-a', $confdir, $copy) == 0 or die 'cp failed';
    spew("$copy/ports.conf", "Listen 127.0.0.1:$port\n");
    for my $site (glob "$copy/sites-enabled/*") {
        edit(abs_path($site), sub { s/<VirtualHost [^>]*>/<VirtualHost *:$port>/ });
    }
    # a second Python, and a second application, in one httpd are refused
    unlink glob "$copy/mods-{enabled,available}/{weave,wsgi}.*";
    edit(abs_path($_), sub { s/^(\s*Weave)/# $1/mg })
        for glob "$copy/{sites,conf}-enabled/*";
    return $copy;
}

my $httpd = asked('SBINDIR') . '/' . asked('PROGNAME');
my $copy  = copy_system();
local %ENV = (
    %ENV,
    APACHE_CONFDIR    => $copy,
    APACHE_STATE_DIRECTORY => "$root/state.d",
    APACHE_RUN_USER   => 'www-data',
    APACHE_RUN_GROUP  => 'www-data',
    APACHE_RUN_DIR    => "$root/run",
    APACHE_LOCK_DIR   => "$root/lock",
    APACHE_LOG_DIR    => "$root/log.d",
    APACHE_PID_FILE   => $pid_file,
);

sub httpd_ok {
    my ($name, @arguments) = @_;
    return run_ok($name, $httpd, '-d', $copy, '-f', "$copy/apache2.conf",
        @arguments);
}

# (status, body) of a GET, or () when nobody answers.
sub get {
    my $path = shift;
    my $socket = IO::Socket::INET->new(
        PeerAddr => '127.0.0.1',
        PeerPort => $port,
        Timeout  => 60
    ) or return;
    print $socket "GET $path HTTP/1.0\r\nHost: localhost\r\n\r\n";
    local $/;
    my $answer = <$socket> // '';
    return $answer =~ m{^HTTP/\S+ (\d+).*?\r\n\r\n(.*)}s ? ($1, $2) : ();
}

# The processes of httpd that serve, and not weaved.
sub children {
    my ($pid) = slurp($pid_file) =~ /(\d+)/ or return;
    my @found = map { split ' ', slurp($_) } glob "/proc/$pid/task/*/children";
    return grep { slurp("/proc/$_/comm") !~ /^(?:weaved|$)/ } @found;
}

# `httpd -k graceful`, and nobody of before is left to answer.
sub graceful_ok {
    my ($status, $name) = @_;
    my %old = map { $_ => 1 } children(), children();
    httpd_ok('... and graceful', '-k', 'graceful');
    # Linux leaves one out of the list where another one ends: two lists
    ok(eventually(sub {
        ((get('/sync'))[0] // 0) == $status
            && !grep { $old{$_} } children(), children();
    }), $name) or diag(slurp("$root/log.d/error.log"));
}

sub stop_httpd {
    my ($pid) = slurp($pid_file) =~ /(\d+)/ or return;
    kill TERM => $pid;
    return eventually(sub { !alive($pid) });
}

END {
    local $?;
    stop_httpd() if $pid_file && $> == 0;
}

# ---- the application ----

spew("$root/app.wsgi", <<'END');
def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [environ["SCRIPT_NAME"].encode() + b" is served"]
END

# ---- install ----

my $before = files();
make('make install', 'install') or BAIL_OUT('make install failed');
ok(-s "$root$libexec/$_", "$_ is installed")
    for 'mod_weave.so', 'weave-engine.so', 'weaved', 'weave-worker', 'weavectl';
is((stat "$root$libexec/weave-worker")[2] & 07777, 0711,
    '... which nobody can look into while it begins');
ok(-s "$root/etc/sync.ini", 'an example of sync.ini is installed');
is((stat "$root/etc/sync.ini")[2] & 07777, 0644, '... that only root can write');
my $release = "$root$libexec/weave-release/weave_release";
ok(-s "$release/cli.py" && glob("$release/__pycache__/cli.*.pyc"),
    'weave-release is installed, compiled');
ok(-s "$root$libexec/weave-release/sync.ini", '... with the example for weavectl init');
ok(-s "$root$libexec/weave-release/weave_server/setting_up.py", '... and what it knows of the Sync server');
ok(!grep({ /faults/ } glob("'$release'/* '$release'/__pycache__/*")),
    '... without what only tests need');
run_ok('weavectl install --help', "$root$libexec/weavectl", 'install', '--help');
my ($manual) = grep { m{/doc/mod_weave/README$} } keys %{files()};
ok($manual && -s $manual, 'the manual is installed');

spew("$root/etc/sync.ini", "[wsgi]\nscript = $root/app.wsgi\n");
make('make install over an installation', 'install');
like(slurp("$root/etc/sync.ini"), qr/app\.wsgi/, 'a sync.ini that is there stays');
ok(-s "$root/etc/sync.ini.example", '... and the example lies beside it');

# The module is under DESTDIR, which the installed file must not know.
my $load = "$copy/mods-available/weave.load";
is(slurp($load), "LoadModule weave_module $libexec/mod_weave.so\n",
    'weave.load names the module');
edit($load, sub { s{$libexec}{$root$libexec} });

# ---- serve ----

run_ok('a2enmod weave', 'a2enmod', '-q', 'weave');
httpd_ok('httpd accepts the module without an application', '-t');
edit("$copy/mods-available/weave.conf",
    sub { $_ .= "WeaveRuntimeDir $root/run/weave\nWeaveStateDir $root/state\n"
        . "WeaveApp /sync $root/etc/sync.ini\n" });
httpd_ok('httpd accepts the application', '-t');
httpd_ok('httpd starts', '-k', 'start')
    or diag(slurp("$root/log.d/error.log"));
ok(eventually(sub { ((get('/sync'))[0] // 0) == 200 }), 'it answers')
    or diag(slurp("$root/log.d/error.log"));
is((get('/sync'))[1], '/sync is served', 'the application is served');
isnt((get('/'))[1] // '', '/sync is served', 'the rest of the site is not ours');

run_ok('a2enconf weave-maintenance', 'a2enconf', '-q', 'weave-maintenance');
graceful_ok(503, 'is maintenance');
run_ok('a2disconf weave-maintenance', 'a2disconf', '-q', 'weave-maintenance');
graceful_ok(200, 'is its end');

my @weavectl = ("$root$libexec/weavectl", '-s', "$root/state", 'maintenance');
run_ok('weavectl maintenance on', @weavectl, 'on');
is((get('/sync'))[0], 503, '... holds at once');
run_ok('weavectl maintenance off', @weavectl, 'off');
is((get('/sync'))[0], 200, '... does, too');
ok(stop_httpd(), 'httpd stops');

# ---- uninstall ----

# The exit status of `make uninstall`, and what it says.
sub uninstall {
    return run('make', '--no-print-directory', 'uninstall', "DESTDIR=$root", @_);
}

my $site = spew("$copy/sites-enabled/weave-test.conf", <<"END");
<IfModule weave_module>
    WeaveApp /harmless $root/etc/sync.ini
</IfModule>
<VirtualHost *:$port>
    # WeaveApp /comment $root/etc/sync.ini
    WeaveApp /there $root/etc/sync.ini
</VirtualHost>
END
my ($exit, $text) = uninstall();
isnt($exit, 0, 'make uninstall refuses while httpd needs the module');
like($text, qr{^\s+\Q$site:6: WeaveApp /there $root/etc/sync.ini\E$}m, '... and names the line');
is(scalar(() = $text =~ /WeaveApp/g), 1, '... and no other');
like($text, qr/a2dismod weave$/m, '... and the command');
like($text, qr/Nothing was removed/, '... and that nothing has happened');
ok(-s "$root$libexec/mod_weave.so", '... which is so');
httpd_ok('httpd would start', '-t');

unlink $site;
($exit, $text) = uninstall();
isnt($exit, 0, 'enabled is enough to refuse');
unlike($text, qr/lines/, '... without lines to remove');
unlike($text, qr/a2disconf/, '... or what is not enabled');
run_ok('a2dismod weave', 'a2dismod', '-q', 'weave');

# What the test has written is not the installation's.
make('make uninstall', 'uninstall');
httpd_ok('httpd would still start', '-t');
ok(-e "$root/etc/sync.ini", 'a changed sync.ini stays');
ok(-e "$copy/mods-available/weave.conf", 'a changed weave.conf stays');
unlink "$root/etc/sync.ini", "$copy/mods-available/weave.conf";
system('rm', '-rf', map { "$root/$_" } qw(run lock log.d state state.d));
is_deeply([grep { !$before->{$_} } sort keys %{files()}],
    [], 'nothing else is left');

# ---- with a prefix of one's own ----

make('make install prefix=/opt/weave', 'install', 'prefix=/opt/weave');
my $asked_prefix = asked('exec_prefix');
(my $below = $libexec) =~ s{^\Q$asked_prefix\E(?=/)}{/opt/weave};
ok(-s "$root$below/mod_weave.so", 'the module is below it');
is(readlink "$root/opt/weave/sbin/weavectl", "$below/weavectl", '... and weavectl');
is(slurp($load), "LoadModule weave_module $below/mod_weave.so\n",
    'weave.load, where httpd reads it, names the module there');
make('make uninstall', 'uninstall', 'prefix=/opt/weave');
is_deeply([grep { !$before->{$_} } sort keys %{files()}], [], 'nothing is left');

# ---- where there is no mods-available ----

my @elsewhere = ('LAYOUT=conf.d', 'CONFDIR=/etc/httpd/conf');
make('make install, as for RPM systems', 'install', @elsewhere);
is(slurp("$root/etc/httpd/conf.modules.d/10-weave.conf"),
    "LoadModule weave_module $libexec/mod_weave.so\n",
    'conf.modules.d loads the module');
ok(-s "$root/etc/httpd/conf.d/weave.conf", 'conf.d has an example');
ok(-s "$root/etc/httpd/conf.d/weave-maintenance.disabled",
    '... and the snippet, which is not read');
my $example = "$root/etc/httpd/conf.d/weave.conf";
edit($example, sub { $_ .= "WeaveApp / /etc/sync.ini\n" });
($exit, $text) = uninstall(@elsewhere);
isnt($exit, 0, 'a changed weave.conf would stay and be read');
like($text, qr{^\s+\Q$example\E:\d+: WeaveApp / /etc/sync\.ini$}m, '... is said');
is((uninstall(@elsewhere, 'FORCE=1'))[0], 0, 'FORCE=1 removes all the same');
ok(-e $example, '... but that file');
ok(!-e "$root$libexec/mod_weave.so", '... and the module, too');
unlink $example;
is_deeply([grep { !$before->{$_} } sort keys %{files()}], [], 'nothing is left');

done_testing();
