# SPDX-License-Identifier: Apache-2.0
#
# An httpd of a test's own, for what the server of the suites cannot show:
# other ini files, starts, stops and restarts. Same modules, own folder.
#
#   my $httpd = WeaveTest::Httpd->new(
#       script => 'stopping',                 # t/apps/stopping.wsgi; or
#       app    => $python,                    # the text of DIR/app.wsgi
#       ini    => "[wsgi]\n...",              # DIR/sync.ini, instead of ours
#       more   => "key = value\n",            # or more for ours
#       mode   => 'processes',                # of the workers; embedded is
#                                             # the default, '' the module's
#       conf   => 'WeaveApp / "DIR/sync.ini"' # the default; DIR is replaced
#       expect => qr/.../,                    # lines that its log may have
#       under  => ['prlimit', '--stack=...'], # a command that runs httpd
#   );
#   $httpd->start;

package WeaveTest::Httpd;

use strict;
use warnings FATAL => 'all';

use File::Path qw(make_path remove_tree);
use File::Temp ();
use IO::Socket::INET ();
use POSIX qw(SIGUSR1);
use Scalar::Util qw(weaken);
use Socket qw(SOL_SOCKET SO_REUSEADDR);
use Time::HiRes qw(sleep time);

use WeaveTest qw(root conf_var alive children_of eventually slurp spew);
use WeaveTest::Client ();
use WeaveTest::Idle ();
use WeaveTest::Log ();

my $count = 0;
my @all;    # weak

sub new {
    my ($class, %arg) = @_;
    my $dir = root() . "/logs/httpd-$$-" . ++$count;
    make_path($dir);
    my $self = bless {dir => $dir, port => free_port(), pid => 0}, $class;
    $self->{under} = $arg{under} || [];
    $self->{mode} = defined $arg{mode} ? $arg{mode} : 'embedded';
    $self->{runtime} = File::Temp::mkdtemp('/tmp/weave-XXXXXX');
    $self->{owner}   = $$;
    $self->{script} =
        $arg{script} ? root() . "/apps/$arg{script}.wsgi" : "$dir/app.wsgi";
    $self->write('sync.ini', $arg{ini} || $self->default_ini($arg{more}));
    $self->write('app.wsgi', $arg{app}) if defined $arg{app};
    $self->configure($arg{conf} || 'WeaveApp / "DIR/sync.ini"');
    $self->{log} = WeaveTest::Log->new($dir, 'error_log');
    $self->{log}->expect($arg{expect}) if $arg{expect};
    WeaveTest::watch($self->{log});
    push @all, $self;
    weaken $all[-1];
    return $self;
}

# The script in the virtualenv of the suites, and MORE lines.
sub default_ini {
    my ($self, $more) = @_;
    my $venv = conf_var('weave_venv');
    return "[wsgi]\nscript = $self->{script}\nvirtualenv = $venv\n"
        . 'python_path = ' . root() . "/apps/lib\n"
        . ($more || '');
}

sub dir     { return $_[0]{dir} }
sub port    { return $_[0]{port} }
sub pid     { return $_[0]{pid} }
sub runtime { return $_[0]{runtime} }
sub state   { return "$_[0]{dir}/state" }

sub write {
    my ($self, $name, $text) = @_;
    my $path = "$self->{dir}/$name";
    make_path($path =~ s{/[^/]*$}{}r);
    return spew($path, $text) if $name !~ /\.(?:wsgi|py)$/ || -l $path;
    # a worker may import it at any moment, and must not see half of it
    spew("$path.new", $text);
    rename "$path.new", $path or die "$path: $!";
    return $path;
}

# Writes httpd.conf: the shared part, and CONF at its end. MODE: see new.
sub configure {
    my ($self, $conf, %arg) = @_;
    $self->{mode} = $arg{mode} if defined $arg{mode};
    my $root = root();
    my $set  = $self->{mode} ? "WeaveSet workers.mode $self->{mode}" : '';
    my $text = <<"END";
ServerRoot "$self->{dir}"
ServerName localhost
PidFile "$self->{dir}/httpd.pid"
DefaultRuntimeDir "$self->{dir}"
ErrorLog "$self->{dir}/error_log"
Listen 127.0.0.1:$self->{port}
Include "$root/conf/modules.conf"
TypesConfig "$root/conf/mime.types"
DocumentRoot "$root/htdocs"
Include "$root/conf/common.inc"
<IfModule weave_module>
WeaveRuntimeDir "$self->{runtime}"
WeaveStateDir "$self->{dir}/state"
$set
</IfModule>
$conf
END
    $text =~ s/\bDIR\b/$self->{dir}/g;
    $self->write('httpd.conf', $text);
}

# Below the ports that the kernel gives to clients, and above t/run's. It is
# bound here to the end, so that no other test takes it before httpd listens or
# between a stop and a start: httpd may bind it beside a socket that does not
# listen, as both allow it.
my @held;

sub free_port {
    for (1 .. 200) {
        my $port   = 20_000 + int rand 12_000;
        my $socket = IO::Socket::INET->new(
            LocalAddr => '127.0.0.1', LocalPort => $port, Proto => 'tcp')
            or next;
        setsockopt $socket, SOL_SOCKET, SO_REUSEADDR, 1 or die "port: $!";
        push @held, $socket;
        return $port;
    }
    die 'no free port';
}

# Runs httpd with ARGS; returns its exit status and what it printed.
sub run {
    my ($self, @args) = @_;
    my @command = (@{ $self->{under} }, conf_var('httpd'), '-d', $self->{dir},
                   '-f', "$self->{dir}/httpd.conf", @args);
    my $out = "$self->{dir}/output";
    my $pid = fork;
    die "fork: $!" unless defined $pid;
    if (!$pid) {
        open STDOUT, '>', $out or die "$out: $!";
        open STDERR, '>&', \*STDOUT or die "stderr: $!";
        exec @command or die "$command[0]: $!";
    }
    waitpid $pid, 0;
    return ($? >> 8 | $? & 127, slurp($out));
}

# Status 0 where the configuration is all right, and what httpd says.
sub configtest { return $_[0]->run('-t') }

# Starts and waits until it listens and has children. Returns what httpd
# printed; dies when it does not come up.
sub start {
    my $self = shift;
    my ($status, $output) = $self->run('-k', 'start');
    die "httpd does not start ($status): $output\n" if $status;
    eventually(sub { -s "$self->{dir}/httpd.pid" })
        or die "httpd wrote no pid file: $output\n";
    ($self->{pid}) = slurp("$self->{dir}/httpd.pid") =~ /(\d+)/;
    eventually(sub { eval { $self->client } })
        or die "httpd does not listen: $output\n";
    # all of that comes before it catches signals: one of ours would end it
    eventually(sub { _catches($self->{pid}, SIGUSR1) })
        or die "httpd catches no signals: $output\n";
    eventually(sub { $self->serving || !$self->running });
    return $output;
}

# Has PID a handler for SIGNAL?
sub _catches {
    my ($pid, $signal) = @_;
    my ($mask) = (eval { slurp("/proc/$pid/status") } || '') =~ /^SigCgt:\s*([0-9a-f]+)/m;
    return hex(substr $mask || '0', -8) >> ($signal - 1) & 1;
}

sub signal {
    my ($self, $signal) = @_;
    return kill $signal, $self->{pid};
}

sub graceful { return $_[0]->signal('USR1') }

# `graceful` (or CODE), and waits until no child of before is left to answer
# anybody.
sub renew {
    my ($self, $code) = @_;
    my %old = map { $_ => 1 } $self->serving;
    $code ? $code->() : $self->graceful;
    return eventually(sub { !grep { $old{$_} } $self->serving });
}

sub running { return $_[0]{pid} && alive($_[0]{pid}) }

# Asks httpd to end (TERM, or WINCH for graceful-stop) and returns how long it
# took, or undef when it is still there after TIMEOUT seconds.
sub stop {
    my ($self, $signal, $timeout) = @_;
    $self->wait_until_idle;
    return $self->stop_at_once($signal, $timeout);
}

# The same, whatever it is doing.
sub stop_at_once {
    my ($self, $signal, $timeout) = @_;
    my $begin = time;
    $self->signal($signal || 'TERM');
    return undef
        unless eventually(sub { !$self->running }, $timeout || 60);
    $self->{pid} = 0;
    return time - $begin;
}

# Waits until the threads of its children sleep, or for a moment where some never do.
sub wait_until_idle {
    my $self = shift;
    return WeaveTest::Idle::wait_until_idle(6 * WeaveTest::Log::moment(),
        $self->serving);
}

# The processes that it has started: [PID...].
sub children { return [children_of($_[0]{pid})] }

# Those of them that serve: weaved is a child as well. It is no new name at
# once, so that of each is asked anew each time.
sub serving {
    my $self = shift;
    return grep { (eval { slurp("/proc/$_/comm") } || 'weaved') !~ /^weaved/ }
        @{ $self->children };
}

sub client {
    my ($self, %opt) = @_;
    return WeaveTest::Client->new(port => $self->{port}, %opt);
}

sub request {
    my ($self, $method, $target, %opt) = @_;
    return $self->client->request($method, $target, close => 1, %opt);
}

sub get { return shift->request('GET', @_) }

sub log { return $_[0]{log} }

# See WeaveTest::logged.
sub logged {
    my ($self, $want, $code) = @_;
    $self->quiet('before it');
    $code->();
    return $self->{log}->take(WeaveTest::wants($want));
}

# Asserts that its log has nothing unexpected at warn or above.
sub quiet {
    my ($self, $when) = @_;
    my @bad = $self->{log}->unexpected;
    Test::More::is(scalar @bad, 0,
        'its error log has nothing unexpected' . ($when ? " $when" : ''));
    Test::More::diag("logged: $_") for @bad;
}

# Asserts that no child crashed and none had to be killed.
sub no_crash {
    my ($self, $name) = @_;
    my @bad = $self->{log}->crashes;
    Test::More::is(scalar @bad, 0, $name || 'no crash, no KILL');
    Test::More::diag("logged: $_") for @bad;
}

# The whole error log.
sub log_text {
    my $self = shift;
    my $file = "$self->{dir}/error_log";
    return -e $file ? slurp($file) : '';
}

# Servers whose objects are gone. None is waited for before the test ends.
my @ending;

# A test that dies must not leave a server behind. Clients that are left go first:
# one that goes while httpd ends has it close a connection just then.
sub DESTROY {
    my $self = shift;
    local ($@, $?, $!);
    return if $self->{owner} != $$;
    push @ending, {%$self{qw(owner pid runtime)}};
    $self->{owner} = 0;
    return unless $self->{pid};
    WeaveTest::Client::close_all($self->{port});
    $self->wait_until_idle;
    $self->signal('TERM');
}

# Waits until they have ended.
sub reap {
    for my $one (splice @ending) {
        next if $one->{owner} != $$;
        my $pid = $one->{pid};
        !$pid || eventually(sub { !alive($pid) })
            or kill 'KILL', -getpgrp($pid);
        remove_tree($one->{runtime});
    }
}

END {
    local $?;
    $_ && $_->DESTROY for @all;
    reap();
}

1;
