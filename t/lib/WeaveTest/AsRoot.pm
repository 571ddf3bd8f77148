# SPDX-License-Identifier: Apache-2.0
#
# Helps the tests of tests/ that start an httpd of their own, most of them as
# root: files, ports, commands, and a copy of the build that other users can read.

package WeaveTest::AsRoot;

use strict;
use warnings FATAL => 'all';
use base 'Exporter';

use Cwd qw(abs_path);
use File::Basename qw(dirname);
use IO::Socket::INET ();
use Socket qw(SOL_SOCKET SO_REUSEADDR);
use Time::HiRes qw(sleep time);

use constant WAIT_S => 120;

our @EXPORT = qw(
    alive asked build build_copy eventually free_port modules_conf run slurp spew top
    users
);

my $top = abs_path(dirname(__FILE__) . '/../../..');
my $build = $ENV{BUILD} || 'build';
$build = "$top/$build" if $build !~ m{^/};

sub top   { return $top }
sub build { return $build }

# Asks apxs for a variable.
sub asked {
    my $apxs = $ENV{APXS} || 'apxs';
    my $answer = qx($apxs -q $_[0] 2>/dev/null);
    chomp $answer;
    return $answer;
}

# Users of this machine that are not root, that of httpd first.
sub users { return grep { defined getpwnam $_ } qw(www-data apache daemon nobody bin) }

# It stays bound here, so that nobody else gets it before httpd listens: httpd may
# bind it beside a socket that does not listen, as both allow it.
my @held;

sub free_port {
    my $socket =
        IO::Socket::INET->new(LocalAddr => '127.0.0.1', Proto => 'tcp', LocalPort => 0)
        or die "no free port: $@";
    setsockopt $socket, SOL_SOCKET, SO_REUSEADDR, 1 or die "port: $!";
    push @held, $socket;
    return $socket->sockport;
}

# The text of a file; '' where there is none.
sub slurp {
    my $file = shift;
    open my $in, '<:raw', $file or return '';
    local $/;
    my $text = <$in>;
    return defined $text ? $text : '';
}

# A new file can be read by all, unless MODE says otherwise.
sub spew {
    my ($file, $text, $mode) = @_;
    $mode = 0644 if !defined $mode && !-e $file;
    open my $out, '>', $file or die "$file: $!";
    chmod $mode, $file if defined $mode;
    print $out $text;
    close $out or die "$file: $!";
    return $file;
}

# Does process PID run? One that has ended, and that init has not waited for yet,
# does not: some inits look once a second, others never.
sub alive {
    my $pid = shift;
    return 0 if !kill 0, $pid;
    my ($state, $parent) = slurp("/proc/$pid/stat") =~ /\) (\w) (\d+)/;
    return !defined $state || $state ne 'Z' || $parent != 1;
}

# Waits until CONDITION is true, SECONDS at most; returns what it returned.
sub eventually {
    my ($condition, $seconds) = @_;
    my $end = time + ($seconds || WAIT_S);
    while (time < $end) {
        my $value = $condition->();
        return $value if $value;
        sleep 0.05;
    }
    return $condition->();
}

# Seconds that a command of run() has.
our $run_s = WAIT_S;

# Runs a command: (exit status, what it said).
sub run {
    open my $out, '-|', 'sh', '-c', 'exec "$@" 2>&1', 'sh', 'timeout',
        '--signal=KILL', $run_s, @_
        or die "$_[0]: $!";
    my $text = do { local $/; <$out> };
    close $out;
    return ($? >> 8, defined $text ? $text : '');
}

# Makes DIR with what was built, as `make install` does.
sub build_copy {
    my $dir = shift;
    mkdir $dir or die "$dir: $!";
    system('sh', '-c', "cp -P '$build'/*.so '$build'/weaved '$build'/weave-worker"
        . " '$build'/weavectl '$dir' && chmod -R a+rX '$dir'"
        . " && chmod 711 '$dir/weave-worker'") == 0
        or die 'the build cannot be copied';
}

# The LoadModule lines of those that are not built into httpd.
sub modules_conf {
    my @names = @_;
    my $httpd = asked('SBINDIR') . '/' . asked('PROGNAME');
    my $libexec = asked('LIBEXECDIR');
    my $builtin = qx($httpd -l);
    return join '', map { "LoadModule ${_}_module $libexec/mod_$_.so\n" }
        grep { $builtin !~ /mod_$_\.c/ } @names;
}

1;
