#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
#
# Secrets in sync.ini files that only root may read: root looks for them in the
# memory, the environment and the open files of every process that runs as
# httpd's user. Only the workers of an application know its secrets, and in
# embedded mode the children that have it in them.

use strict;
use warnings FATAL => 'all';
no warnings 'portable';    # addresses have 64 bits
use FindBin ();
use lib "$FindBin::Bin/../t/lib";

use File::Temp qw(tempdir);
use IO::Socket::INET ();
use Test::More;

use WeaveTest::AsRoot;

use constant MARK   => 'weave-secret-';

my $token = '(' . MARK . '[a-z]{20})';
$token = qr/$token/;

plan skip_all => 'needs root: it looks into all processes' if $> != 0;
my ($server, $other) = users();
plan skip_all => 'needs two ordinary users' if !$other;
my ($server_uid, $server_gid) = (getpwnam $server)[2, 3];

my $root = tempdir('weave-secrets-XXXXXX', TMPDIR => 1, CLEANUP => 1);
chmod 0755, $root;
my $httpd = asked('SBINDIR') . '/' . asked('PROGNAME');
my $port  = free_port();
my $pid   = 0;

# ---- what is served ----

# NAME of a secret: its value, another one with each RENEWAL.
my %secrets;

sub secret {
    my $name = shift;
    my $text = MARK . join '', map { chr 97 + rand 26 } 1 .. 20;
    $secrets{$text} = $name;
    return $text;
}

spew("$root/app.wsgi", <<'END', 0644);
import os


def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [str(os.getpid()).encode()]
END

# sync.ini of the application NAME with new secrets in every place; MORE is put
# at its end.
sub ini {
    my ($name, $mode, $more) = @_;
    my %is = map { $_ => secret("$name $_") }
        qw(environ env own extended comment link);
    spew("$root/$name-base.ini", <<"END", 0600);
[extended]
password = $is{extended}
END
    my $user = $mode eq 'processes' && $name eq 'one' ? "user = $other\n" : '';
    spew("$root/$name.ini", <<"END" . ($more || ''), 0600);
# $is{comment}
[DEFAULT]
extends = $name-base.ini
[wsgi]
script = $root/app.wsgi
environ.PASSWORD = $is{environ}
[workers]
mode = $mode
${user}env.PASSWORD = $is{env}
[release]
find_links = https://name:$is{link}\@localhost/
[storage]
password = $is{own}
END
    return;
}

sub configure {
    my $apps = join '', map { "WeaveApp /$_ $root/$_.ini\n" } @_;
    my $libexec = asked('LIBEXECDIR');
    my @names = qw(mpm_event unixd authz_core);
    push @names, 'cgid' if -e "$libexec/mod_cgid.so";
    my $modules = modules_conf(@names);
    spew("$root/httpd.conf", <<"END");
ServerRoot "$root"
ServerName localhost
Listen 127.0.0.1:$port
PidFile "$root/httpd.pid"
DefaultRuntimeDir "$root"
ErrorLog "$root/error_log"
LogLevel warn weave:debug
$modules
<IfModule cgid_module>
  ScriptSock "$root/cgid"
</IfModule>
LoadModule weave_module $root/lib/mod_weave.so
User $server
Group #$server_gid
StartServers 2
ServerLimit 16
# no child is made for more idle threads: graceful() could miss it among the old
MinSpareThreads 1
MaxSpareThreads 32
ThreadsPerChild 4
MaxRequestWorkers 32
ThreadStackSize 1048576
WeaveRuntimeDir "$root/run"
WeaveStateDir "$root/state"
$apps
END
    return;
}

build_copy("$root/lib");

# ---- asking ----

# The body of a 200, or ''.
sub ask {
    my $target = shift;
    my $socket = IO::Socket::INET->new(
        PeerAddr => '127.0.0.1', PeerPort => $port, Timeout => 5) or return '';
    print $socket "GET $target HTTP/1.0\r\nHost: localhost\r\n\r\n";
    local $/;
    my $answer = <$socket>;
    return defined $answer && $answer =~ m{^HTTP/\S+ 200.*?\r\n\r\n(.*)}s ? $1 : '';
}

sub log_text { return slurp("$root/error_log") }

sub httpd_command { return system($httpd, '-f', "$root/httpd.conf", '-k', $_[0]) >> 8 }

# Restarts gracefully and waits until only new children are there: an old one knows
# what was before.
sub graceful {
    my $count = sub { return scalar(() = log_text() =~ /resuming normal/g) };
    my $before = $count->();
    my @old = children();
    kill USR1 => $pid;
    ok eventually(sub { $count->() > $before }), 'httpd restarts';
    return ok eventually(sub {
        my %now = map { $_ => 1 } children();
        return !grep { $now{$_} } @old;
    }), 'with new children only';
}

END {
    local $?;
    if ($> == 0 && $pid) {
        kill TERM => $pid;
        eventually(sub { !alive($pid) });
    }
}

# ---- looking ----

# Processes of httpd's user whose parent is httpd: children, and mod_cgid's.
sub children {
    my @found;
    for my $folder (glob '/proc/[0-9]*') {
        my $status = slurp("$folder/status");
        next if $status !~ /^PPid:\s*$pid$/m || $status !~ /^Uid:\s*$server_uid\b/m;
        push @found, $folder =~ m{(\d+)$};
    }
    return @found;
}

# All of the file's or the memory's bytes that can be read.
sub tokens_of {
    my ($path, @ranges) = @_;
    my %found;
    open my $in, '<:raw', $path or return ();
    for my $range (@ranges ? @ranges : [0, 16 << 20]) {
        my ($at, $end) = @$range;
        my $rest = '';
        while ($at < $end) {
            sysseek $in, $at, 0 or last;
            my $size = $end - $at > 1 << 20 ? 1 << 20 : $end - $at;
            my $got  = sysread $in, my $data, $size or last;
            my $text = $rest . $data;
            $found{$1} = 1 while $text =~ /$token/g;
            $rest = length $text > 64 ? substr $text, -64 : $text;
            $at += $got;
        }
    }
    return keys %found;
}

# The secrets in the memory of a process, by name.
sub secrets_in_memory {
    my $process = shift;
    my @ranges;
    for (split /\n/, slurp("/proc/$process/maps")) {
        my ($from, $to) = /^([0-9a-f]+)-([0-9a-f]+) r/ or next;
        # what is larger is a sanitizer's own
        push @ranges, [hex $from, hex $to]
            if !/vsyscall|vvar/ && hex($to) - hex $from < 1 << 28;
    }
    return named(tokens_of("/proc/$process/mem", @ranges));
}

# Finds secrets in files without a name that a process has open, and in its
# environment.
sub secrets_in_files {
    my $process = shift;
    my @paths = grep { (readlink $_ || '') =~ m{^/memfd:} } glob "/proc/$process/fd/*";
    return named(map { tokens_of($_) }
        @paths, "/proc/$process/environ", "/proc/$process/cmdline");
}

sub named { return sort map { $secrets{$_} || "unknown $_" } @_ }

# Nothing but what is of OWN, an application, is known by httpd's children.
sub is_hidden {
    my ($when, $own) = @_;
    my @children = children();
    ok @children > 1, "$when: there are children";
    my %found;
    for my $child (@children) {
        $found{$_} = 1 for grep { !$own || !/^$own / }
            secrets_in_memory($child), secrets_in_files($child);
    }
    is_deeply [sort keys %found], [], "$when: no secret is in them";
    unlike log_text(), $token, "$when: nor in the error log";
    return;
}

# ---- applications in worker processes ----

ini($_, 'processes') for qw(one two);
configure(qw(one two));
is httpd_command('start'), 0, 'httpd starts' or BAIL_OUT(log_text());
eventually(sub { ($pid) = slurp("$root/httpd.pid") =~ /(\d+)/ });
my %worker;
for my $name (qw(one two)) {
    ok eventually(sub { $worker{$name} = ask("/$name/") }), "$name is served"
        or diag log_text();
}

subtest 'at the start' => sub {
    is_hidden('at the start');
    for my $name (qw(one two)) {
        my %known = map { $_ => 1 } secrets_in_memory($worker{$name}),
            secrets_in_files($worker{$name});
        ok $known{"$name environ"} && $known{"$name env"} && $known{"$name own"},
            "the worker of $name knows its secrets";
        is_deeply [grep { !/^$name / } sort keys %known], [], 'and no others';
    }
};

subtest 'after a graceful restart' => sub {
    graceful();
    is_hidden('the same configuration');
    ini('one', 'processes');
    graceful();
    is_hidden('a new one');
    ok eventually(sub { my $now = ask('/one/'); $now && $now ne $worker{one} }),
        'which has new workers' or diag log_text();
    is_hidden('a new one in new workers');
};

subtest 'with a damaged sync.ini' => sub {
    my ($line, $value) = (secret('a line'), secret('a value'));
    ini('one', 'processes', "[own]\n$line\n[workers]\nthreads = 4\n");
    ini('two', 'processes', "[x]\ny = \${NONE}$value\n"
        . "[limits]\nspool_dir = $value\x01\n");
    graceful();
    ok eventually(sub { () = log_text() =~ /WEAVE0013/g }) == 2,
        'both go on with what they had' or diag log_text();
    ok ask("/$_/"), "$_ is served" for qw(one two);
    is_hidden('both damaged');
    graceful();
    is_hidden('once more');
};

# ---- one of them in httpd's children ----

subtest 'an embedded one' => sub {
    ini('one', 'processes');
    ini('two', 'processes');
    chown $server_uid, -1, map { "$root/three$_.ini" } '', '-base' if -e "$root/three.ini";
    ini('three', 'embedded');
    my $group = $server_gid;
    chown 0, $group, "$root/three.ini", "$root/three-base.ini" or die "chown: $!";
    chmod 0640, "$root/three.ini", "$root/three-base.ini" or die "chmod: $!";
    configure(qw(one two three));
    graceful();
    my $child = 0;
    ok eventually(sub { $child = ask('/three/') }), 'is served' or diag log_text();
    ok eventually(sub { ask('/one/') }), 'beside the others';
    is_hidden('beside it', 'three');
    my %known = map { $_ => 1 } secrets_in_memory($child), secrets_in_files($child);
    ok $known{'three environ'} && $known{'three env'}, 'the child knows its own';
    spew("$root/three.ini", "nothing\n");
    graceful();
    ok eventually(sub { ask('/three/') }), 'damaged: it is served all the same'
        or diag log_text();
    is_hidden('damaged', 'three');
};

subtest 'in worker processes again' => sub {
    ini('three', 'processes');
    graceful();
    ok eventually(sub { ask('/three/') }), 'is served' or diag log_text();
    is_hidden('no longer embedded');
};

kill TERM => $pid;
ok eventually(sub { !alive($pid) }), 'httpd stops';
$pid = 0;
done_testing();
