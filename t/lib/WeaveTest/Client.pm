# SPDX-License-Identifier: Apache-2.0
#
# An HTTP/1.x client that shows the bytes: what it sends is what it is told,
# and a response says whether it came whole.

package WeaveTest::Client;

use strict;
use warnings FATAL => 'all';
use Errno qw(EINTR);
use IO::Select ();
use IO::Socket::INET ();
use Scalar::Util qw(refaddr weaken);
use Socket qw(IPPROTO_TCP TCP_NODELAY SOL_SOCKET SO_LINGER);
use Time::HiRes qw(time);

# Those that there are, of each port: {PORT => {ADDRESS => weak reference}}.
my %clients;

sub new {
    my ($class, %arg) = @_;
    my $socket = IO::Socket::INET->new(
        PeerAddr => '127.0.0.1',
        PeerPort => $arg{port},
        Proto    => 'tcp',
        Timeout  => 60,
    ) or die "127.0.0.1:$arg{port}: $!\n";
    setsockopt $socket, IPPROTO_TCP, TCP_NODELAY, 1;
    $socket = _tls($socket) if $arg{tls};
    binmode $socket;
    my $self = bless {
        port    => $arg{port},
        socket  => $socket,
        buffer  => '',
        timeout => $arg{timeout} || 60,
        eof     => 0,
    }, $class;
    $clients{ $arg{port} }{ refaddr $self } = $self;
    weaken $clients{ $arg{port} }{ refaddr $self };
    return $self;
}

sub DESTROY {
    my $self = shift;
    # when perl ends, it takes things apart in any order
    delete $clients{ $self->{port} }{ refaddr $self } if defined $self->{port};
    return;
}

sub _tls {
    my $socket = shift;
    require IO::Socket::SSL;
    return IO::Socket::SSL->start_SSL($socket, SSL_verify_mode => 0)
        || die "TLS: $IO::Socket::SSL::SSL_ERROR\n";
}

sub send {
    my ($self, $bytes) = @_;
    local $SIG{PIPE} = 'IGNORE';
    my $at = 0;
    while ($at < length $bytes) {
        my $n = syswrite $self->{socket}, $bytes, 65536, $at;
        next if !defined $n && $! == EINTR;
        return 0 unless $n;
        $at += $n;
    }
    return 1;
}

# Goes away without a word; with `abort`, with a reset.
sub close {
    my ($self, $abort) = @_;
    setsockopt $self->{socket}, SOL_SOCKET, SO_LINGER, pack 'ii', 1, 0
        if $abort;
    close $self->{socket};
}

# Closes all that are left of PORT.
sub close_all {
    my $port = shift;
    $_->close for grep { $_ } values %{ delete $clients{$port} || {} };
}

sub shut_writing { shutdown $_[0]{socket}, 1 }

# Whether a byte (or the end) is there within SECONDS. A signal is no end of
# waiting: who is told to stop goes on to the end of the answer.
sub readable {
    my ($self, $seconds) = @_;
    return 1 if length $self->{buffer} || $self->{eof};
    return 1 if $self->{socket}->can('pending') && $self->{socket}->pending;
    my $end = time + $seconds;
    my $found;
    do {
        $! = 0;
        my $left = $end - time;
        $found = IO::Select->new($self->{socket})
            ->can_read($left > 0 ? $left : 0);
    } until $found || $! != EINTR;
    return $found;
}

sub _fill {
    my $self = shift;
    return 0 if $self->{eof};
    die "no answer in $self->{timeout} s\n"
        unless $self->readable($self->{timeout});
    my $n;
    do {
        $n = sysread $self->{socket}, $self->{buffer}, 262144,
            length $self->{buffer};
    } until defined $n || $! != EINTR;
    return 1 if $n;
    $self->{eof} = 1;
    return 0;
}

# Everything until the server closes.
sub drain {
    my $self = shift;
    1 while $self->_fill;
    return substr $self->{buffer}, 0, length $self->{buffer}, '';
}

sub _line {
    my $self = shift;
    while (1) {
        return $1 if $self->{buffer} =~ s/\A(.*?)\r?\n//s;
        return undef unless $self->_fill;
    }
}

# Exactly LENGTH bytes, or what there is at the end.
sub _bytes {
    my ($self, $length) = @_;
    while (length $self->{buffer} < $length) {
        last unless $self->_fill;
    }
    return substr $self->{buffer}, 0, $length, '';
}

# The next response. HEAD and the like have no body: bodiless => 1.
# 1xx are responses too: read them first, or ask for final => 1.
sub response {
    my ($self, %opt) = @_;
    my $head = '';
    while (defined(my $line = $self->_line)) {
        last if $line eq '' && $head ne '';
        $head .= "$line\n";
    }
    my $res = WeaveTest::Response->new($head);
    return $self->response(%opt) if $opt{final} && $res->status =~ /^1\d\d$/;
    $self->_read_body($res) unless $opt{bodiless} || $res->bodiless;
    return $res;
}

sub _read_body {
    my ($self, $res) = @_;
    my $length = $res->header('Content-Length');
    if (lc($res->header('Transfer-Encoding') || '') eq 'chunked') {
        $self->_read_chunked($res);
    }
    elsif (defined $length) {
        $res->{body}     = $self->_bytes($length);
        $res->{complete} = length $res->{body} == $length;
    }
    else {
        $res->{body} = $self->drain;
    }
}

sub _read_chunked {
    my ($self, $res) = @_;
    while (1) {
        my $size = $self->_line;
        return $res->{complete} = 0
            unless defined $size && $size =~ /^([0-9a-fA-F]+)/;
        my $length = hex $1;
        my $chunk  = $self->_bytes($length);
        $res->{body} .= $chunk;
        push @{ $res->{chunks} }, $chunk if $length;
        return $res->{complete} = 0 if length $chunk < $length;
        my $end = $self->_line;
        return $res->{complete} = 0 unless defined $end;
        return if $length == 0;
    }
}

# request(METHOD, TARGET, headers => [NAME => VALUE...], body => BYTES,
#   chunked => [BYTES...], version => '1.0', host => NAME, note => ID,
#   close => 1, app => NAME): sends it and returns the final response.
sub request {
    my ($self, $method, $target, %opt) = @_;
    $self->send(format_request($method, $target, %opt));
    return $self->response(final => 1, bodiless => $method eq 'HEAD');
}

sub format_request {
    my ($method, $target, %opt) = @_;
    my $version = $opt{version} || '1.1';
    my @headers = (Host => $opt{host} || 'localhost');
    push @headers, 'X-Note'     => $opt{note} if $opt{note};
    push @headers, 'X-App'      => $opt{app}  if $opt{app};
    push @headers, 'Connection' => 'close'    if $opt{close};
    push @headers, @{ $opt{headers} || [] };
    my $body = '';
    if (defined $opt{body}) {
        $body = $opt{body};
        push @headers, 'Content-Length' => length $body;
    }
    elsif ($opt{chunked}) {
        push @headers, 'Transfer-Encoding' => 'chunked';
        $body = chunked(@{ $opt{chunked} });
    }
    my $head = "$method $target HTTP/$version\r\n";
    while (my ($name, $value) = splice @headers, 0, 2) {
        $head .= "$name: $value\r\n";
    }
    return "$head\r\n$body";
}

sub chunked {
    return join '', (map { sprintf "%x\r\n%s\r\n", length, $_ } @_), "0\r\n\r\n";
}

package WeaveTest::Response;

use strict;
use warnings FATAL => 'all';

sub new {
    my ($class, $head) = @_;
    my ($status_line, @lines) = split /\n/, $head;
    my ($version, $status, $reason) =
        split / /, defined $status_line ? $status_line : '', 3;
    my @headers = map { [/^([^:]*):?[ \t]*(.*?)[ \t]*$/] } @lines;
    return bless {
        head     => $head,
        version  => $version || '',
        status   => $status || 0,
        reason   => defined $reason ? $reason : '',
        headers  => \@headers,
        body     => '',
        chunks   => [],
        complete => $head ne '',
    }, $class;
}

sub head     { return $_[0]{head} }
sub status   { return $_[0]{status} }
sub reason   { return $_[0]{reason} }
sub body     { return $_[0]{body} }
sub chunks   { return @{ $_[0]{chunks} } }
sub complete { return $_[0]{complete} }
sub bodiless { return $_[0]{status} =~ /^(?:1\d\d|204|304)$/ }

# All values of a header, or the first.
sub header {
    my ($self, $name) = @_;
    my @values =
        map { $_->[1] } grep { lc $_->[0] eq lc $name } @{ $self->{headers} };
    return wantarray ? @values : $values[0];
}

1;
