# SPDX-License-Identifier: Apache-2.0
#
# An httpd whose application is a release below a home, DIR/home, as weavectl
# installs it: a virtualenv, which the link current leads to; and one who talks to
# its weaved as weavectl does.
#
#   my $httpd = with_home('processes', release => "warmup = /warm\n");
#   release($httpd, $_) for qw(one two);
#   links($httpd, 'one');
#   my $asker = WeaveTest::Candidates->connect($httpd);
#   my $answer = $asker->candidate('two');

package WeaveTest::Candidates;

use strict;
use warnings FATAL => 'all';
use Exporter 'import';
use IO::Select ();
use IO::Socket::UNIX ();
use JSON::PP ();
use Test::More;
use Time::HiRes qw(time);
use WeaveTest;
use WeaveTest::Httpd ();
use WeaveTest::Workers;

our @EXPORT = qw(with_home release links answers app_status of_state);

# What connects to weaved says this version of its messages.
use constant CONTROL_VERSION => 6;
use constant WAIT_S          => 120;

# Answers with the name of its release. What stands in at_import and at_warmup of
# the release is run then.
my $APP = <<'END';
import json
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))


def at(moment):
    path = os.path.join(HERE, "at_" + moment)
    if os.path.exists(path):
        with open(path) as stream:
            exec(stream.read(), globals())


at("import")


def application(environ, start_response):
    status = "200 OK"
    if environ["PATH_INFO"] == "/warm":
        at("warmup")
        status = globals().get("WARM", status)
    start_response(status, [("Content-Type", "text/plain")])
    if environ["PATH_INFO"] == "/where":
        return [json.dumps({
            "prefix": sys.prefix, "path": sys.path, "cwd": os.getcwd(),
            "static": environ.get("static"), "data": os.environ.get("DATA"),
            "file": __file__}).encode()]
    return [("%s %d" % (os.path.basename(HERE), os.getpid())).encode()]
END

# WeaveTest::Httpd->new; `workers`, `limits` and `release` are lines of those
# sections.
sub with_home {
    my ($mode, %arg) = @_;
    my %lines = map { $_ => delete $arg{$_} || '' } qw(workers limits release);
    my $httpd = WeaveTest::Httpd->new(mode => $mode, app => $APP, %arg);
    my $home  = home($httpd);
    mkdir $_ or die "$_: $!" for $home, "$home/releases";
    $httpd->write('sync.ini', <<"END");
[wsgi]
virtualenv = $home/current
script = app.wsgi
python_path = $home/current/more
environ.static = $home/current/static
[workers]
processes = 2
threads = 4
home = $home/current
env.DATA = /data:$home/current/data
$lines{workers}
[limits]
$lines{limits}
[release]
home = $home
$lines{release}
END
    return $httpd;
}

sub home { return $_[0]->dir . '/home' }

# Makes the release NAME, in which AT says what happens when: (import => PYTHON,
# warmup => PYTHON).
sub release {
    my ($httpd, $name, %at) = @_;
    my $dir = home($httpd) . "/releases/$name";
    system('cp', '-a', conf_var('weave_venv'), $dir) == 0 or die $dir;
    mkdir "$dir/more" or die $!;
    spew("$dir/app.wsgi", slurp($httpd->dir . '/app.wsgi'));
    spew("$dir/at_$_", $at{$_}) for keys %at;
    return $dir;
}

# The link current leads to the release NAME from now on.
sub links {
    my ($httpd, $name) = @_;
    my $link = home($httpd) . '/current';
    symlink "releases/$name", "$link.new" or die "$link: $!";
    rename "$link.new", $link or die "$link: $!";
    return;
}

# The name of the release that answers.
sub answers { return ($_[0]->get('/who')->body =~ /^(\S+) \d+$/)[0] || '' }

sub app_status { return (status($_[0]) || {applications => [{}]})->{applications}[0] }

# Its generations in STATE.
sub of_state {
    my ($httpd, $state) = @_;
    return grep { $_->{state} eq $state } @{ app_status($httpd)->{generations} || [] };
}

# ---- one who asks weaved ----

sub connect {
    my ($class, $httpd) = @_;
    my $path   = $httpd->runtime . '/weaved.sock';
    my $socket = IO::Socket::UNIX->new(Peer => $path) or die "$path: $!";
    return bless {socket => $socket, httpd => $httpd, buffer => ''}, $class;
}

sub tell {
    my ($self, %request) = @_;
    my $line = JSON::PP->new->encode({version => CONTROL_VERSION, %request});
    return syswrite $self->{socket}, "$line\n";
}

# The next answer; undef: the connection is closed.
sub hear {
    my $self = shift;
    my $end  = time + WAIT_S;
    while (index($self->{buffer}, "\n") < 0) {
        IO::Select->new($self->{socket})->can_read($end - time) or die "no answer\n";
        sysread $self->{socket}, $self->{buffer}, 65_536, length $self->{buffer}
            or return undef;
    }
    my $line = substr $self->{buffer}, 0, 1 + index($self->{buffer}, "\n"), '';
    return JSON::PP->new->decode($line);
}

sub ask {
    my ($self, %request) = @_;
    $self->tell(%request);
    return $self->hear;
}

# Says that the release NAME is to be tried, and waits for nothing.
sub try {
    my ($self, $name, %more) = @_;
    my $home = home($self->{httpd});
    return $self->tell(
        op => 'candidate', app => $self->{httpd}->dir . '/sync.ini',
        link => "$home/current", leads_to => "$home/releases/$name", %more);
}

sub candidate {
    my ($self, @try) = @_;
    $self->try(@try);
    return $self->hear;
}

sub switch {
    my $self = shift;
    return $self->ask(op => 'switch', app => $self->{httpd}->dir . '/sync.ini');
}

sub close { return close $_[0]{socket} }

1;
