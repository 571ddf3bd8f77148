# SPDX-License-Identifier: Apache-2.0
#
# An httpd with worker processes, and what weavectl says about them.
#
#   my $httpd = new_httpd(limits => "request_timeout = 1\n");
#   my @pids  = workers($httpd);

package WeaveTest::Workers;

use strict;
use warnings FATAL => 'all';
use Exporter 'import';
use JSON::PP ();
use Test::More;
use WeaveTest;
use WeaveTest::Httpd ();

our @EXPORT = qw(
    $STACKS new_httpd weavectl status workers generation serves reloads
    in_flight gone
);

# Lines of faulthandler, and those of tracebacks.
our $STACKS = qr/^(?:(?:Current[ ]thread|Thread)[ ]0x
    |[ ]{2}File[ ]"|[ ]*<no[ ]Python[ ]frame>
    |Fatal[ ]Python|Extension[ ]modules
    |Traceback|[ ]{4}|\w+(?:Error|Exception)\b|$)/x;

# WeaveTest::Httpd->new for t/apps/workers.wsgi in worker processes, two of four
# threads unless `workers` says otherwise; `workers`, `limits` and `release` are
# lines of those sections.
sub new_httpd {
    my %arg     = @_;
    my $workers = delete $arg{workers} || "processes = 2\nthreads = 4\n";
    my $more    = "[workers]\n$workers";
    $more .= "[$_]\n" . delete $arg{$_}
        for grep { defined $arg{$_} } qw(limits release);
    return WeaveTest::Httpd->new(
        mode   => 'processes',
        more   => $more,
        defined $arg{app} ? () : (script => 'workers'),
        %arg,
    );
}

# Runs it with ARGS; (exit status, what it printed).
sub weavectl {
    my ($httpd, @args) = @_;
    my @command = (conf_var('weave_build') . '/weavectl',
                   '-d', $httpd->runtime, @args);
    open my $out, '-|', 'sh', '-c', 'exec "$@" 2>&1', 'sh', @command
        or die "weavectl: $!";
    my $text = do { local $/; <$out> };
    close $out;
    return ($? >> 8, defined $text ? $text : '');
}

sub status {
    my $httpd = shift;
    my ($exit, $text) = weavectl($httpd, 'status', '--json');
    return $exit ? undef : eval { JSON::PP->new->decode($text) };
}

sub _app {
    my ($httpd, $which) = @_;
    my $status = status($httpd) or return undef;
    return (grep { !$which || $_->{ini} =~ $which }
            @{ $status->{applications} })[0];
}

# The number of the generation that serves.
sub generation {
    my $app = _app(@_);
    return $app ? $app->{generation} : 0;
}

# The pids of the ready workers of the generation that serves; WHICH is a
# pattern for the ini.
sub workers {
    my $app = _app(@_) or return;
    return map { $_->{pid} } grep { $_->{state} eq 'ready' }
        map { @{ $_->{workers} } }
        grep { $_->{state} eq 'serving' } @{ $app->{generations} };
}

# Starts HTTPD and waits for all its COUNT (2) workers.
sub serves {
    my ($httpd, $count) = @_;
    $httpd->start if !$httpd->running;
    ok eventually(sub { workers($httpd) == ($count || 2) }, 20),
        'its workers are ready';
    return workers($httpd);
}

# `weavectl reload` brings another generation.
sub reloads {
    my $httpd  = shift;
    my $before = generation($httpd);
    my ($exit, $text) = weavectl($httpd, 'reload');
    is $exit, 0, 'weavectl reload' or diag $text;
    cmp_ok generation($httpd), '>', $before, 'another generation serves';
}

# A request that has reached the application: (client, pid of its worker).
sub in_flight {
    my ($httpd, $method, $target, %opt) = @_;
    my $note   = new_note();
    my $client = $httpd->client;
    $client->send(WeaveTest::Client::format_request(
        $method, $target, note => $note, close => 1, %opt));
    my ($pid) = (join ' ', notes($note, 1)) =~ /in (\d+)/;
    return ($client, $pid);
}

sub gone {
    my ($pid, $seconds) = @_;
    return eventually(sub { !kill 0, $pid }, $seconds || 15);
}

1;
