#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
#
# configtest as root, with a virtualenv whose Python is an attacker's: its
# libpython runs code when it is loaded. The code looks for root's terminal,
# for the rights of root and for the secrets of another application, never
# ends, leaves processes behind, and answers with escape sequences.

use strict;
use warnings FATAL => 'all';
use FindBin ();
use lib "$FindBin::Bin/../t/lib";

use File::Temp qw(tempdir);
use POSIX qw(WNOHANG);
use Test::More;
use Time::HiRes qw(sleep time);

use WeaveTest::AsRoot;

my $cc = $ENV{CC} || 'cc';

plan skip_all => 'needs root: the attacker is another user' if $> != 0;
plan skip_all => "needs a compiler, $cc" if system("$cc --version >/dev/null 2>&1");
my ($server, $attacker) = users();
plan skip_all => 'needs two ordinary users' if !$attacker;
my ($version) = (readlink build() . "/weave-engine.so") =~ /(3\.\d+)/;

my $root = tempdir('weave-configtest-XXXXXX', TMPDIR => 1, CLEANUP => 1);
chmod 0755, $root;
my $httpd  = asked('SBINDIR') . '/' . asked('PROGNAME');
my $secret = 'weave-secret-' . join '', map { chr 97 + rand 26 } 1 .. 24;
my %uid    = map { $_ => scalar getpwnam $_ } $server, $attacker;

# ---- the attacker's Python ----

spew("$root/libpython.c", <<'END');
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#define WHERE "weave-se" "cret-" /* in two parts: not to be found here */

static FILE *report;

static void terminal_find(void)
{
    int fd, tty = open("/dev/tty", O_RDWR);
    char key = '\n';

    for (fd = 0; fd < 3; fd++)
        if (isatty(fd) || ioctl(fd, TIOCSTI, &key) == 0)
            fprintf(report, "terminal %d\n", fd);
    if (tty >= 0)
        fprintf(report, "terminal /dev/tty\n");
    fprintf(report, "session %s\n", getsid(0) == getpid() ? "own" : "shared");
}

static void descriptors_list(void)
{
    char path[64], what[256];
    struct stat status;
    int fd;

    for (fd = 3; fd < 1024; fd++) {
        ssize_t len;

        if (fd == fileno(report) || fstat(fd, &status) != 0)
            continue;
        snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
        len = readlink(path, what, sizeof(what) - 1);
        what[len > 0 ? len : 0] = '\0';
        if (len > 0 && strstr(what, "libpython"))
            continue; /* the linker reads it */
        fprintf(report, "descriptor %d %s\n", fd, what);
    }
}

static void rights_find(void)
{
    gid_t groups[64];
    int count = getgroups(64, groups);
    int back = setuid(0) == 0 || seteuid(0) == 0 || setgid(0) == 0 ||
               setgroups(0, NULL) == 0;

    fprintf(report, "user %d, root again: %d\n", (int)getuid(), back);
    while (count-- > 0)
        fprintf(report, "group %d\n", (int)groups[count]);
}

/* Memory of this very process, which was perhaps httpd's a moment ago. */
static void secret_find(void)
{
    char line[512];
    FILE *maps;
    int null = open("/dev/zero", O_RDONLY), fds[2], found = 0;

    close(null);
    prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
    maps = fopen("/proc/self/maps", "r");
    if (!maps || pipe(fds) != 0)
        return;
    fcntl(fds[1], F_SETFL, O_NONBLOCK);
    while (fgets(line, sizeof(line), maps)) {
        unsigned long from, to;
        char rights[8];
        const char *at;

        if (sscanf(line, "%lx-%lx %7s", &from, &to, rights) != 3 ||
            rights[0] != 'r' || rights[1] != 'w' || strstr(line, "[stack]") ||
            to - from > 1UL << 28) /* a sanitizer's own */
            continue;
        for (at = (const char *)from; at < (const char *)to - 64; at++) {
            if (*at == 'w' && !memcmp(at, WHERE, strlen(WHERE)))
                found++, fprintf(report, "secret %.40s\n", at);
        }
    }
    fprintf(report, "searched %d\n", found);
}

static void stay(const char *what, int apart)
{
    pid_t pid = fork();

    if (pid == 0) {
        if (apart)
            setsid();
        signal(SIGHUP, SIG_IGN);
        signal(SIGTERM, SIG_IGN);
        alarm(0);
        for (;;)
            sleep(600);
    }
    fprintf(report, "%s %d\n", what, (int)pid);
}

/* Into whatever pipe there is. */
static void answer(void)
{
    static const char text[] = "\033]0;owned\007\033[2J WEAVE9999: all is well\n";
    struct stat status;
    int fd, i;

    for (fd = 3; fd < 64; fd++) {
        if (fstat(fd, &status) != 0 || !S_ISFIFO(status.st_mode))
            continue;
        fcntl(fd, F_SETFL, O_NONBLOCK);
        for (i = 0; i < 20000; i++)
            if (write(fd, text, strlen(text)) < 0 && errno != EAGAIN)
                break;
    }
    _exit(0);
}

__attribute__((constructor)) static void attack(void)
{
    report = fopen(OUT, "we");
    if (!report)
        return;
    setvbuf(report, NULL, _IOLBF, 0);
    if (!strcmp(ATTACK, "look")) {
        terminal_find();
        descriptors_list();
        rights_find();
        secret_find();
    }
    if (!strcmp(ATTACK, "stay")) {
        stay("near", 0);
        stay("apart", 1);
    }
    if (!strcmp(ATTACK, "answer"))
        answer();
    if (!strcmp(ATTACK, "sleep")) {
        alarm(0);
        fprintf(report, "sleeps %d\n", (int)getpid());
        for (;;)
            sleep(600);
    }
    fprintf(report, "done\n");
}
END

# Another application, whose sync.ini only root may read.
my $ini = "[wsgi]\nscript = $root/app.wsgi\n";
spew("$root/app.wsgi", "def application(environ, start_response):\n    return []\n");
spew("$root/other.ini", $ini . "environ.SECRET = $secret\n", 0600);

# The Python of a virtualenv, which runs the application's own check.
sub python_of {
    my ($dir, $attack) = @_;
    return "#!/bin/sh\n" if $attack ne 'check';
    return <<"END";
#!/bin/sh
exec 9>$dir/report
id -u >&9
cat /proc/self/fd/4 >$dir/ini
setsid sh -c 'echo apart \$\$ >&9; exec sleep 600' &
printf 'error 3 \\033[2J\\033]0;owned\\007 WEAVE9999: all is well\\n' >&3
printf 'error 99999999999999999999 far\\nnotice -1 near\\nrubbish\\n\\0\\n' >&3
while :; do sleep 600; done
END
}

# An application of USER whose Python does ATTACK, and its httpd.conf. For a check,
# the libpython is a good one.
sub evil {
    my ($attack, $user, $mode) = @_;
    my $name = "$attack-$mode";
    my $dir  = "$root/$name";
    mkdir $dir;
    mkdir "$dir/$_" for qw(bin lib venv venv/bin venv/lib), "venv/lib/python$version";
    spew("$dir/bin/python$version", "#!/bin/sh\n", 0755);
    spew("$dir/venv/bin/python", python_of($dir, $attack), 0755);
    my $home = $attack eq 'check' ? '/usr/bin' : "$dir/bin";
    spew("$dir/venv/pyvenv.cfg", "home = $home\nversion = $version.0\n", 0644);
    system($cc, '-shared', '-fPIC', '-o', "$dir/lib/libpython$version.so.1.0",
        "-DATTACK=\"$attack\"", "-DOUT=\"$dir/report\"", "$root/libpython.c") == 0
        or die 'no libpython';
    system('chown', '-R', $user, $dir) == 0 or die 'chown';
    my $workers = "[workers]\nmode = $mode\n";
    $workers .= "user = $user\n" if $mode eq 'processes';
    my $wsgi = $attack eq 'check' ? "[wsgi]\nmodule = tried\n" : $ini;
    spew("$dir.ini", "${wsgi}virtualenv = $dir/venv\n$workers",
        $mode eq 'processes' ? 0600 : 0644);
    my $modules = modules_conf(qw(mpm_event unixd authz_core));
    my $group = (getpwnam $server)[3];
    spew("$dir.conf", <<"END");
ServerRoot "$root"
ServerName localhost
Listen 127.0.0.1:65000
PidFile "$root/httpd.pid"
DefaultRuntimeDir "$root"
ErrorLog "$root/error_log"
$modules
LoadModule weave_module $root/lib/mod_weave.so
User $server
Group #$group
ServerLimit 32
WeaveRuntimeDir "$root/run"
WeaveStateDir "$root/state"
WeaveApp /other $root/other.ini
WeaveApp /evil $dir.ini
END
    return $name;
}

build_copy("$root/lib");

# ---- configtest, on a terminal of its own ----

spew("$root/on_terminal.py", <<'END');
import os, pty, sys
os.environ["TERM"] = "dumb"
status = pty.spawn(sys.argv[1:])
sys.exit(os.waitstatus_to_exitcode(status) & 255)
END

sub configtest_start {
    my $name = shift;
    my $pid = fork;
    die "fork: $!" unless defined $pid;
    if (!$pid) {
        POSIX::setsid();
        open STDIN, '<', '/dev/null';
        open STDOUT, '>', "$root/$name.out";
        open STDERR, '>&', \*STDOUT;
        exec '/usr/bin/python3', "$root/on_terminal.py", $httpd, '-t', '-f',
            "$root/$name.conf" or POSIX::_exit(127);
    }
    return $pid;
}

my %running;

# (whether it has ended, its exit status, what it said)
sub configtest_end {
    my $name = shift;
    my $pid  = delete $running{$name};
    my $end  = time + 120;
    my ($gone, $status) = (0, undef);
    while (time < $end && !$gone) {
        $gone = waitpid($pid, WNOHANG) == $pid;
        $status = $? if $gone;
        sleep 0.05 if !$gone;
    }
    if (!$gone) {
        # the terminal goes, and with it what is on it
        kill KILL => $pid;
        waitpid $pid, 0;
    }
    return ($gone, defined $status ? $status >> 8 : -1, slurp("$root/$name.out"));
}

sub report_of { return slurp("$root/$_[0]/report") }

# Is a process left that the attacker's code has reported as WHAT? Its number, or 0.
sub left_of {
    my ($name, $what) = @_;
    my ($pid) = report_of($name) =~ /^$what (\d+)$/m or return 0;
    my $state = slurp("/proc/$pid/stat") =~ /\) (\w)/ ? $1 : 'Z';
    return $state eq 'Z' ? 0 : $pid;
}

END {
    local $?;
    if ($root) {
        kill KILL => $_ for values %running;
        for my $name (map { s{.*/}{}r =~ s/\.conf$//r } glob "$root/*.conf") {
            for my $pid (map { left_of($name, $_) } qw(near apart sleeps)) {
                kill KILL => $pid if $pid;
            }
        }
    }
}

for my $mode (qw(processes embedded)) {
    my $user = $mode eq 'processes' ? $attacker : $server;
    for my $attack (qw(look stay answer sleep check)) {
        my $name = evil($attack, $user, $mode);
        $running{$name} = configtest_start($name);
    }
}

for my $mode (qw(processes embedded)) {
    my $user = $mode eq 'processes' ? $attacker : $server;
    subtest "$mode: what it can see" => sub {
        my ($gone, $status, $said) = configtest_end("look-$mode");
        my $report = report_of("look-$mode");
        is $status, 0, 'configtest is content' or diag $said;
        like $report, qr/^done$/m, 'the code has run' or diag $said;
        like $report, qr/^user $uid{$user}, root again: 0$/m,
            'as its user, and for good';
        unlike $report, qr/^group 0$/m, 'without a group of root';
        unlike $report, qr/^terminal/m, 'without a terminal';
        like $report, qr/^session own$/m, 'in a session of its own';
        like $report, qr/^searched 0$/m, 'without the secrets of others';
        is_deeply [$report =~ /^descriptor (?!\d+ pipe:)(.*)$/mg], [],
            'without files of root';
        is scalar(() = $report =~ /^descriptor \d+ pipe:/mg), 1,
            'with one pipe, for its answer';
    };
    subtest "$mode: what it leaves behind" => sub {
        my ($gone, $status, $said) = configtest_end("stay-$mode");
        ok $gone, 'configtest ends while processes keep its pipe';
        is $status, 0, 'and is content' or diag $said;
        is left_of("stay-$mode", 'near'), 0, 'those of its group are gone';
      SKIP: {
            skip 'the kernel has no list of children', 1
                if !-e '/proc/thread-self/children';
            is left_of("stay-$mode", 'apart'), 0, 'and so are the others';
        }
    };
    subtest "$mode: what it answers" => sub {
        my ($gone, $status, $said) = configtest_end("answer-$mode");
        ok $gone, 'configtest ends';
        is $status, 1, 'and is not content';
        like $said, qr/WEAVE0007: /, 'with a message';
        unlike $said, qr/\e/, 'that holds no escape sequence';
        ok length $said < 8192, 'and is short' or diag length $said;
        unlike $said, qr/^.{0,80}WEAVE9999/m, 'nor looks like another message';
    };
    subtest "$mode: without an end" => sub {
        my ($gone, $status, $said) = configtest_end("sleep-$mode");
        ok $gone, 'configtest ends';
        is $status, 1, 'and is not content';
        like $said, qr/WEAVE0007: .*took more than \d+ s/, 'with a message';
        is left_of("sleep-$mode", 'sleeps'), 0, 'the process is gone';
    };
    subtest "$mode: the check that an application brings" => sub {
        my ($gone, $status, $said) = configtest_end("check-$mode");
        my $name = "check-$mode";
        ok $gone, 'configtest ends';
        is $status, 1, 'an error is one' or diag $said;
        like $said, qr{WEAVE0275: $root/$name\.ini:2: \S*2J}, 'with its line';
        like $said, qr{WEAVE0275: $root/$name\.ini: far}, 'as far as there is one';
        like $said, qr{WEAVE0277: .*makes no sense|WEAVE0277: .*more than 20 s},
            'and that there may be more';
        unlike $said, qr/[^\r\n\t -~]/, 'nothing for a terminal';
        unlike $said, qr/^.{0,80}WEAVE9999/m, 'nor like another message';
        like report_of($name), qr/^$uid{$user}$/m, 'as its user';
        like slurp("$root/$name/ini"), qr/^module = "?tried/m,
            'which reads its sync.ini, also where that is root\'s alone';
      SKIP: {
            skip 'the kernel has no list of children', 1
                if !-e '/proc/thread-self/children';
            is left_of($name, 'apart'), 0, 'and leaves nothing behind';
        }
    };
}

done_testing();
