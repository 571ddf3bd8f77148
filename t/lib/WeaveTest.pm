# SPDX-License-Identifier: Apache-2.0
#
# What every .t uses: where the server of the suites listens, a client, the
# notes of the applications, and the error log as the oracle.
#
#   use WeaveTest;
#   is get('/hello')->body, 'Hello, world!';
#   my $log = logged(qr/boom/, sub { get('/raises') });
#   finish;

package WeaveTest;

use strict;
use warnings FATAL => 'all';
use base 'Exporter';

use File::Basename qw(dirname);
use File::Spec ();
use JSON::PP ();
use Test::More ();
use Time::HiRes qw(sleep time clock_gettime CLOCK_MONOTONIC);

use WeaveTest::Client ();
use WeaveTest::Log ();

our @EXPORT = qw(
    root conf_var port client get request json logged expect_log quiet_log
    notes new_note eventually slurp spew finish mpm mode
    children_of descendants alive python_version
);

my $root = dirname(dirname(File::Spec->rel2abs(__FILE__)));
my $config;

# The folder t/ of the server that this test talks to.
sub root { return $root }

sub _config {
    $config ||= do {
        my $file = "$root/conf/apache_test_config.pm";
        require $file;
        apache_test_config->new;
    };
    return $config;
}

sub conf_var { return _config()->{vars}{ $_[0] } }
sub mpm      { return conf_var('weave_mpm') }

# Where the applications of the suites' server run: processes or embedded.
sub mode { return conf_var('weave_mode') }

sub python_version {
    my $cfg = slurp(conf_var('weave_venv') . '/pyvenv.cfg');
    my ($version) = $cfg =~ /^version\s*=\s*(\d+\.\d+)/m;
    return $version;
}

# The port of a <VirtualHost NAME> of conf/extra.conf.in.
sub port {
    my $name  = shift || 'app';
    my $vhost = _config()->{vhosts}{$name} or die "no virtual host $name\n";
    return $vhost->{port};
}

# A connection: client('other'), client('tls', tls => 1).
sub client {
    my ($name, %opt) = @_;
    return WeaveTest::Client->new(port => port($name), %opt);
}

# One request on a connection of its own: see WeaveTest::Client::request.
sub request {
    my ($method, $target, %opt) = @_;
    my $client = client(delete $opt{site}, tls => delete $opt{tls});
    return $client->request($method, $target, %opt, close => 1);
}

sub get { return request('GET', @_) }

# The decoded body of a GET for JSON; dies with the body when it is none.
sub json {
    my $res  = get(@_);
    my $data = eval { JSON::PP->new->decode($res->body) };
    die 'not JSON: ' . $res->status . ' ' . $res->body unless defined $data;
    return $data;
}

sub slurp {
    my $file = shift;
    open my $in, '<:raw', $file or die "$file: $!";
    local $/;
    return scalar <$in>;
}

sub spew {
    my ($file, $bytes) = @_;
    open my $out, '>:raw', $file or die "$file: $!";
    print $out $bytes;
    close $out or die "$file: $!";
    return $file;
}

# Waits for a condition, as long as a machine may take that has other things to
# do: 60 s unless told otherwise. Returns what it returned.
sub eventually {
    my ($condition, $timeout) = @_;
    my $end = clock_gettime(CLOCK_MONOTONIC) + ($timeout || 60);
    while (1) {
        my $late  = clock_gettime(CLOCK_MONOTONIC) > $end;
        my $value = $condition->();
        return $value if $value || $late;
        sleep 0.02;
    }
}

# Does process PID run? One that has ended, and that init has not waited for yet,
# does not: some inits look once a second, others never.
sub alive {
    my $pid = shift;
    return 0 if !kill 0, $pid;
    my ($state, $parent) = (eval { slurp("/proc/$pid/stat") } || '') =~ /\) (\w) (\d+)/;
    return !defined $state || $state ne 'Z' || $parent != 1;
}

# The processes that PID has started and not yet waited for. Linux leaves one
# out where another one ends meanwhile, so that two lists must agree.
sub children_of {
    my $pid = shift or return;
    my ($before, @found) = ('none');
    while ("@found" ne $before) {
        $before = "@found";
        @found  = map { split ' ', eval { slurp($_) } || '' }
            glob "/proc/$pid/task/*/children";
    }
    return @found;
}

# The processes that PID has started, and those that they have, as far as
# nobody of them has left its parent.
sub descendants {
    my @found;
    for my $pid (@_) {
        my @children = children_of($pid);
        push @found, @children, descendants(@children);
    }
    return @found;
}

my $note_count = 0;
sub new_note { return join '-', $$, time, ++$note_count }

# What applications noted for an id, one element a note. With a number, waits
# until there are that many, as eventually() does.
sub notes {
    my ($id, $at_least) = @_;
    my $file = "$root/logs/notes";
    my @found;
    eventually(sub {
        @found = -e $file ? slurp($file) =~ /^\Q$id\E (.*)$/mg : ();
        return @found >= ($at_least || 0);
    });
    return @found;
}

my $log = WeaveTest::Log->new("$root/logs", qw(error_log other_log));

# The logs that finish() looks at. A test that starts servers of its own has
# nothing to do with the one of the suites, and runs beside those that have.
my @watched = ($log);
my $own     = 0;

sub watch {
    my $other = shift;
    @watched = () unless $own++;
    push @watched, $other;
}

# Runs CODE, waits for a line that matches WANT, and returns all lines that
# came meanwhile, as one text of "module:level message" lines. They count as
# expected. Without WANT just what is there. Where a test looks for several
# lines, WANT is [PATTERN...], and it waits for all of them: what comes from
# another process, or is a later part of the same, may come a good deal later.
sub logged {
    my ($want, $code) = @_;
    quiet_log('before it');
    $code->();
    return $log->take(wants($want));
}

sub wants { return ref $_[0] eq 'ARRAY' ? @{ $_[0] } : grep { defined } $_[0] }

# Takes note that lines which match are all right in this test.
sub expect_log { return $log->expect(@_) }

# Asserts that nothing unexpected at warn or above has come since last asked.
sub quiet_log {
    my $when = shift || 'so far';
    my @bad  = $log->unexpected;
    return unless @bad;
    Test::More::fail("the error log has nothing unexpected $when");
    Test::More::diag("logged: $_") for @bad;
}

# The end of every .t. What a server says at its end counts, too.
sub finish {
    WeaveTest::Httpd::reap() if $own;
    sleep 2 * WeaveTest::Log::moment();
    my @bad = map { $_->unexpected } @watched;
    Test::More::is(scalar @bad, 0, 'nothing unexpected in the error log');
    Test::More::diag("logged: $_") for @bad;
    Test::More::done_testing();
}

1;
