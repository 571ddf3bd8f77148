# SPDX-License-Identifier: Apache-2.0
#
# What clients must see under maintenance: the headers and bodies of the Sync
# protocol, each of them once, and nothing else.
#
#   my $httpd = paused('On', mode => 'processes', set => ['retry_after 60']);
#   is_refusal $httpd->get('/1.1/u/info/collections'), 'storage',
#       body => $STORAGE, retry => 60;

package WeaveTest::Maintenance;

use strict;
use warnings FATAL => 'all';
use Exporter 'import';
use Test::More;
use Time::HiRes qw(time);
use WeaveTest qw(mode eventually slurp);
use WeaveTest::Httpd ();
use WeaveTest::Workers qw(new_httpd weavectl workers);

our @EXPORT = qw(
    $STORAGE $V15 $TOKEN $PLAIN $FAILS $FAILURE $ASKS $CLOCK @PLACES paused two_apps modes
    ctl printed in_time is_refusal is_plain_refusal is_failure is_served has_backoff
    has_no_backoff
);

our $STORAGE = '"server issue: maintenance"';
our $V15     = '0';
our $TOKEN   = '{"status":"error","errors":[{"location":"internal",'
    . '"name":"","description":"maintenance"}]}';
our $PLAIN = "This service pauses for a moment.\n";
# Without any maintenance, the application cannot answer: plain, and to Sync clients.
our $FAILS   = "This service is not available at the moment. Please try again later.\n";
our $FAILURE = _without_pause($STORAGE);

# A time as weavectl shows it: with the date when that is another day.
our $CLOCK = qr/(?:\d{4}-\d\d-\d\d )?\d\d:\d\d:\d\d/;

# For a <Location> in which httpd asks everybody who he is; DIR/passwords is to
# be written.
our $ASKS = <<'END';
    AuthType Basic
    AuthName "weave tests"
    AuthUserFile "DIR/passwords"
    Require valid-user
END

# Paths below the mount and what is said there, to those who want no HTML.
our @PLACES = (
    ['/1.0/user/info/collections',       $STORAGE],
    ['/1.1/user/storage/meta/global',    $STORAGE],
    ['/1.1/',                            $STORAGE],
    ['/1/user/storage/bookmarks?full=1', $STORAGE],
    ['/user/1.0/name/node/weave',        $STORAGE],
    ['/misc/1.0/captcha_html',           $STORAGE],
    ['/1.5/42/info/collections',         $V15],
    ['/1.5/42/storage/tabs',             $V15],
    ['/1.0/sync/1.5',                    $TOKEN],
    ['/token/1.0/sync/1.5?duration=60',  $TOKEN],
    ['/weave-password-reset',            $STORAGE],
    ['/__heartbeat__',                   $STORAGE],
    ['/1.1',                             $STORAGE],
    ['/1.50/x',                          $STORAGE],
    ['/',                                $STORAGE],
);

# httpd's own, whoever answers.
my %OF_HTTPD = map { $_ => 1 } qw(date server connection keep-alive upgrade);

my %SYNC = map { $_ => 1 } qw(
    retry-after x-weave-backoff x-backoff x-weave-timestamp x-weave-maintenance
    cache-control content-type content-length
);

# Where the core tests run: the mode of the suites, or both where this is the
# one of processes.
sub modes {
    my %has = map { $_ => 1 } 'embedded', mode();
    return sort keys %has;
}

# An httpd in that maintenance mode ('': nobody says any), started. `set` has
# keys of [maintenance] and their values, with `style sync` and `spread 0` unless
# there is another; `mount` and `conf` follow. `files` are written into its folder first:
# a name and a text, of which DIR/NAME.ini has what every sync.ini has. With
# start => 0 it is not started.
sub paused {
    my ($mode, %arg) = @_;
    my @set = @{ delete $arg{set} || [] };
    for my $default ('style sync', 'spread 0') {
        my ($key) = split ' ', $default;
        unshift @set, $default unless grep { /^$key\b/ } @set;
    }
    my $conf = join '', map { "WeaveSet maintenance.$_\n" } @set;
    $conf .= "WeaveMaintenance $mode\n" if $mode;
    $conf .= delete $arg{mount} || qq(WeaveApp / "DIR/sync.ini"\n);
    $conf .= delete $arg{conf}  || '';
    my %file  = %{ delete $arg{files} || {} };
    my $start = exists $arg{start} ? delete $arg{start} : 1;
    my $httpd = WeaveTest::Httpd->new(
        script => 'maintenance', %arg, conf => $conf);
    $httpd->write($_, (/\.ini\z/ ? $httpd->default_ini : '') . $file{$_})
        for sort keys %file;
    $httpd->start if $start;
    return $httpd;
}

# A started httpd with an application in a worker process, of DIR/sync.ini, and
# an embedded one, of DIR/two.ini; CONF mounts them. More is for new_httpd().
sub two_apps {
    my ($conf, $expect, %arg) = @_;
    my $httpd = new_httpd(mode => '', workers => "processes = 1\n",
        expect => $expect, conf => $conf, %arg);
    my $ini = slurp($httpd->dir . '/sync.ini');
    $ini =~ s/^\[workers\]\n/[workers]\nmode = embedded\n/m;
    $httpd->write('two.ini', $ini);
    $httpd->start;
    ok eventually(sub { workers($httpd, qr/sync\.ini/) == 1 }), 'it runs';
    return $httpd;
}

# For what lasts only so long: calls CODE with SECONDS, and where it has taken
# longer than that, once more with more of them. It asks, and returns what it was
# told: what that should have been is looked at once it is known to be in time.
sub in_time {
    my ($seconds, $code) = @_;
    for (1 .. 4) {
        my $end   = time + $seconds;
        my @found = $code->($seconds);
        return wantarray ? @found : $found[0] if time < $end;
        $seconds *= 4;
    }
    die "nothing is done in time here\n";
}

# `weavectl maintenance` with the ARGS, found by the runtime directory: it must
# end with EXIT and print what each of LIKE says.
sub printed {
    my ($httpd, $args, $exit, @like) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 2;
    my ($got, $text) = weavectl($httpd, 'maintenance', @$args);
    is $got, $exit, "maintenance @$args: exit $exit" or diag $text;
    like $text, $_, 'says so' for @like;
    return $text;
}

# weavectl ARGS for HTTPD, which must end with EXIT; what it printed.
sub ctl {
    my ($httpd, $exit, @args) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my ($got, $text) = weavectl($httpd, '-s', $httpd->state, @args);
    is $got, $exit, "weavectl @args: exit $exit" or diag $text;
    return $text;
}

# The names of the headers, in lower case, sorted.
sub _names {
    my $res = shift;
    return sort map { lc $_->[0] } @{ $res->{headers} };
}

sub _number {
    my ($value, $retry) = @_;
    return "no number: $value" unless $value =~ /^[1-9][0-9]*\z/;
    return '' unless defined $retry;
    my ($least, $most) = ref $retry ? @$retry : ($retry, $retry);
    return $value >= $least && $value <= $most
        ? '' : "$value is not in [$least, $most]";
}

# What is wrong with a refusal, one line each.
sub _problems {
    my ($res, %want) = @_;
    my $plain = $want{plain};
    my @bad;
    push @bad, 'status ' . $res->status if $res->status != ($want{status} || 503);
    my %expected = %SYNC;
    delete @expected{ grep { /^x-/ } keys %expected } if $plain;
    delete $expected{'x-weave-maintenance'} if $want{failure};
    my @names = grep { !$OF_HTTPD{$_} } _names($res);
    my @more  = map { lc } @{ $want{more} || [] };
    my $want  = join ' ', sort keys %expected, @more;
    push @bad, "headers @names instead of $want" if "@names" ne $want;
    my $seconds = $res->header('Retry-After');
    $seconds = '' unless defined $seconds;
    push @bad, grep { $_ } _number($seconds, $want{retry});
    my %value = (
        'Cache-Control' => 'no-store',
        'Content-Type'  => $want{type}
            || ($plain ? 'text/plain; charset=utf-8' : 'application/json'),
        $plain ? () : ('X-Weave-Backoff' => $seconds, 'X-Backoff' => $seconds),
        $expected{'x-weave-maintenance'} ? ('X-Weave-Maintenance' => '1') : (),
    );
    for my $name (sort keys %value) {
        my $is = $res->header($name);
        push @bad, "$name: " . (defined $is ? $is : 'missing')
            if !defined $is || $is ne $value{$name};
    }
    return (@bad, $plain ? () : _time($res), _body($res, %want));
}

sub _time {
    my $res = shift;
    my $value = $res->header('X-Weave-Timestamp');
    return 'X-Weave-Timestamp: missing' unless defined $value;
    return () if $value =~ /^\d+\.\d\d\z/ && abs(time - $value) < 30;
    return "X-Weave-Timestamp: $value";
}

sub _body {
    my ($res, %want) = @_;
    return () unless defined $want{body};
    my @bad;
    my $length = $res->header('Content-Length');
    push @bad, 'Content-Length: ' . (defined $length ? $length : 'missing')
        unless defined $length && $length == length $want{body};
    my $body = $want{head} ? '' : $want{body};
    push @bad, 'body: ' . $res->body if $res->body ne $body;
    push @bad, 'the answer is not whole' unless $res->complete;
    return @bad;
}

# is_refusal(RES, NAME, body => TEXT, type => TYPE, retry => N or [MIN, MAX],
# head => 1: it answers HEAD, more => [HEADER...]: those may be there too,
# status => N: not 503).
sub is_refusal {
    my ($res, $name, %want) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my @bad = _problems($res, %want);
    is scalar @bad, 0, $name;
    diag $_ for @bad;
    return !@bad;
}

# The same for maintenance.style = plain.
sub is_plain_refusal {
    my ($res, $name, %want) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    return is_refusal($res, $name, %want, plain => 1);
}

# The same where the application cannot answer and nobody has asked for maintenance: of
# `body`, which is what a refusal has, it says so.
sub is_failure {
    my ($res, $name, %want) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    $want{body} = _without_pause($want{body}) if defined $want{body};
    return is_refusal($res, $name, %want, failure => 1);
}

# BODY with what it says of a maintenance replaced.
sub _without_pause {
    my $body = shift;
    $body =~ s/\bmaintenance\b/not available/;
    return $body;
}

# One X-Weave-Backoff and one X-Backoff, both of RETRY seconds, and no
# Retry-After nor anything else of a refusal.
sub has_backoff {
    my ($res, $name, %want) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my @weave = $res->header('X-Weave-Backoff');
    my @plain = $res->header('X-Backoff');
    my @bad;
    push @bad, "X-Weave-Backoff: @weave; X-Backoff: @plain"
        if @weave != 1 || @plain != 1 || $weave[0] ne $plain[0];
    push @bad, grep { $_ } _number("@weave", $want{retry});
    push @bad, map { my @has = $res->header($_); @has ? "$_: @has" : () }
        qw(Retry-After X-Weave-Maintenance X-Weave-Alert);
    is scalar @bad, 0, $name;
    diag $_ for @bad;
    return !@bad;
}

sub has_no_backoff {
    my ($res, $name) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my @has = grep { defined scalar $res->header($_) }
        qw(Retry-After X-Weave-Backoff X-Backoff X-Weave-Maintenance);
    return is "@has", '', $name;
}

# The application answered, and nobody is told to stay away.
sub is_served {
    my ($res, $name, %want) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my $body = defined $want{body} ? $want{body} : "served\n";
    return is($res->status, 200, $name)
        && is($res->body, $body, 'by the application')
        && has_no_backoff($res, 'and as if nothing were');
}

1;
