# SPDX-License-Identifier: Apache-2.0
#
# An httpd with two applications: /good in a worker of ours, and /rogue in
# what rogue-worker does instead of one. Or with programs of a test's own in
# place of ours.
#
#   my $httpd = WeaveTest::Rogue->new(limits => "queue_timeout = 1\n");
#   $httpd->serve_as('hello_small');   # what rogue-worker does from now on
#   my ($end) = $httpd->asks('text');  # what became of /rogue/do/text

package WeaveTest::Rogue;

use strict;
use warnings FATAL => 'all';
use base 'WeaveTest::Httpd';
use Test::More;
use WeaveTest qw(root conf_var eventually slurp spew);
use WeaveTest::Graceful qw($plain);
use WeaveTest::Workers ();

# Lines of httpd.conf: all requests are of one process, but for prefork.
our $ONE_CHILD = <<'END';
<IfModule !mpm_prefork_module>
    StartServers 1
    ServerLimit 1
    ThreadsPerChild 16
    MaxRequestWorkers 16
    MinSpareThreads 1
</IfModule>
END

# LIMITS are lines for the rogue's ini, CONF is more for httpd.conf, and
# PROGRAMS the text of programs: {'weave-worker' => "#!..."}.
sub new {
    my ($class, %arg) = @_;
    my $more = "[workers]\nprocesses = 1\nthreads = 4\n";
    my $self = $class->SUPER::new(
        script => 'workers',
        mode   => 'processes',
        more   => $more,
        expect => $arg{expect});
    $self->write('rogue.ini', $self->default_ini(
        $more . "[limits]\n" . ($arg{limits} || '')));
    $self->serve_as('');
    $self->_make_libdir($arg{programs} || {'weave-worker' => $self->_worker});
    my $conf = $arg{conf} || '';
    $self->configure(<<"END");
WeaveApp /good "DIR/sync.ini"
WeaveApp /rogue "DIR/rogue.ini"
<Location /rogue/stream>
    WeaveSet wsgi.stream_input true
</Location>
$conf
END
    return $self;
}

sub _worker {
    my $self = shift;
    my $real = conf_var('weave_build') . '/weave-worker';
    my $root = root();
    return <<"END";
#!/bin/sh
case \$1 in
*/rogue.ini) exec /usr/bin/python3 $root/lib/WeaveTest/rogue-worker \\
    $self->{dir}/mode "\$\@" ;;
esac
exec $real "\$\@"
END
}

# WeaveTest::Workers::new_httpd with PROGRAMS in place of ours.
sub with_programs {
    my ($class, $programs, %arg) = @_;
    my $self = bless WeaveTest::Workers::new_httpd(%arg), $class;
    s/\bDIR\b/$self->{dir}/g for values %$programs;
    $self->_make_libdir($programs);
    $self->configure($arg{conf} || 'WeaveApp / "DIR/sync.ini"');
    return $self;
}

# The same: its workers tell what httpd's children have to show them.
sub telling {
    my ($class, %arg) = @_;
    my $real = conf_var('weave_build') . '/weave-worker';
    return $class->with_programs({'weave-worker' => <<"END"}, %arg);
#!/usr/bin/python3
import os
import re
import socket
import sys
import time

name = "DIR/secret-" + os.path.basename(sys.argv[1])
order = b""
with socket.socket(fileno=os.dup(4)) as control:
    while b"\\n" not in order:
        order = control.recv(1 << 24, socket.MSG_PEEK)
        time.sleep(0.01)
with open(name, "wb") as out:
    out.write(re.search(rb'"secret": ?"([0-9a-f]+)"', order).group(1))
os.execv("$real", ["weave-worker"] + sys.argv[1:])
END
}

# Returns the secret that a worker of the application of INI has told.
sub secret {
    my ($self, $ini) = @_;
    return slurp("$self->{dir}/secret-" . ($ini || 'sync.ini'));
}

# A folder with links to all that is real, and PROGRAMS.
sub _make_libdir {
    my ($self, $programs) = @_;
    my $lib = "$self->{dir}/lib";
    mkdir $lib or die "$lib: $!";
    for my $file (glob conf_var('weave_build') . '/*') {
        my ($name) = $file =~ m{([^/]+)\z};
        next if $programs->{$name};
        symlink $file, "$lib/$name" or die "$lib/$name: $!";
    }
    for my $name (keys %$programs) {
        spew("$lib/$name", $programs->{$name});
        chmod 0755, "$lib/$name";
    }
    $self->{lib} = $lib;
}

# The module out of that folder: it finds the others beside itself.
sub configure {
    my ($self, @args) = @_;
    $self->SUPER::configure(@args);
    return if !$self->{lib};
    my $modules = slurp(root() . '/conf/modules.conf');
    $modules =~
        s{^(LoadModule weave_module) .*$}{$1 $self->{lib}/mod_weave.so}m;
    $self->write('modules.conf', $modules);
    my $text = slurp("$self->{dir}/httpd.conf");
    $text =~ s{^Include ".*/modules\.conf"$}{Include "$self->{dir}/modules.conf"}m;
    $self->write('httpd.conf', $text);
}

sub serve_as {
    my ($self, $mode) = @_;
    $self->write('mode', "$mode\n");
}

# The pids of the workers.
sub rogue { return WeaveTest::Workers::workers($_[0], qr/rogue\.ini$/) }
sub good  { return WeaveTest::Workers::workers($_[0], qr/sync\.ini$/) }

sub serves {
    my $self = shift;
    $self->start if !$self->running;
    ok eventually(sub { $self->good && $self->rogue }),
        'the workers are ready';
}

# Begins to ask for /rogue/do/NAME.
sub begins {
    my ($self, $name, %opt) = @_;
    my $client = $self->client;
    my $method = delete $opt{method} || 'POST';
    $opt{body} = 'x' if $method eq 'POST' && !grep { $opt{$_} } qw(body chunked);
    $client->send(WeaveTest::Client::format_request(
        $method, "/rogue/do/$name", %opt));
    return $client;
}

# What becomes of what CLIENT asks, and of the connection behind it, in words:
# the status, whether the answer is whole, and what follows it.
sub ends {
    my ($self, $client) = @_;
    my $res = eval { $client->response(final => 1) };
    return ('silence', $res) if !$res;
    return ('nothing', $res) if $res->head eq '';
    return ('malformed', $res)
        if $res->{version} ne 'HTTP/1.1' || $res->status !~ /\A[2-5]\d\d\z/
        || $res->head =~ /Injected/;
    return ($res->status . ' cut', $res) if !$res->complete;
    if (lc($res->header('Connection') || '') eq 'close') {
        my $more = eval { $client->drain };
        return ($res->status . ($more eq '' ? '' : ' and more'), $res);
    }
    my $next = eval { $client->request('GET', '/plain.txt', close => 1) };
    return ($res->status, $res)
        if $next && $next->status == 200 && $next->body eq $plain;
    return ($res->status . ' and the end', $res) if $next && $next->head eq '';
    return ($res->status . ' and rubbish', $res);
}

sub asks {
    my ($self, @args) = @_;
    return $self->ends($self->begins(@args));
}

# The process of httpd that answers, where there is but one.
sub child { return ($_[0]->serving)[0] }

# Descriptors of PID by kind: {socket => 3, ...}.
sub descriptors {
    my ($self, $pid) = @_;
    my %count;
    for my $fd (glob "/proc/$pid/fd/*") {
        my $to = readlink $fd or next;
        $count{ $to =~ /^(\w+):\[/ ? $1 : $to }++;
    }
    return \%count;
}

# Mappings of a worker's scoreboard in PID.
sub boards {
    my ($self, $pid) = @_;
    return scalar(() =
        slurp("/proc/$pid/maps") =~ /memfd:weave-(?:board|rogue)/g);
}

1;
