# SPDX-License-Identifier: Apache-2.0
#
# A client of a worker's socket that may do what it likes: see
# src/core/weave_frame.h.
#
#   my $wire = WeaveTest::Wire->hello($path);
#   $wire->send(request('/who'));
#   my ($type, $payload) = $wire->frame;

package WeaveTest::Wire;

use strict;
use warnings FATAL => 'all';
use Exporter 'import';
use IO::Select ();
use IO::Socket::UNIX ();
use Time::HiRes qw(time);

our @EXPORT = qw(frame_of request hello_of %TYPE);

our %TYPE = (
    HELLO => 1, WELCOME => 2, REQUEST => 3, BODY => 4, CANCEL => 5,
    CANCELLED => 6, REFUSED => 7, READ => 8, HEAD => 9, DATA => 10,
    FILE => 11, END => 12, LOG => 13,
);
use constant {MAGIC => 0x464d5657, VERSION => 5, BODY_HERE => 0x10,
              NAMED => 0xffffffff};

# The secret that HELLO has where none is named (see WeaveTest::Rogue).
my $known;

sub know { $known = $_[0] }

# The bytes of a frame; magic, version, flags, number and bytes may be wrong.
sub frame_of {
    my ($type, $payload, %how) = @_;
    return pack('LSCCLL',
        defined $how{magic}   ? $how{magic}   : MAGIC,
        defined $how{version} ? $how{version} : VERSION,
        $TYPE{$type} || $type, $how{flags} || 0,
        defined $how{bytes}   ? $how{bytes} : length $payload,
        defined $how{number}  ? $how{number} : 1) . $payload;
}

# ROLE, and the secret of the application in hexadecimal digits.
sub hello_of {
    my ($role, $secret) = @_;
    return frame_of(HELLO => pack('LL H64', $$, $role || 1,
        defined $secret ? $secret : $known || ''));
}

sub _var {
    my ($name, $value) = @_;
    return pack('LLL', NAMED, length($name) + 1, length $value)
        . "$name\0$value\0";
}

# A REQUEST for TARGET; vars, inline, file_bytes (what it claims), body
# and names (NAME => VALUE) may be what they like, the rest is of the frame.
sub request {
    my ($target, %how) = @_;
    my ($path, $query) = split /\?/, $target, 2;
    my %names = (
        REQUEST_METHOD => 'GET', SCRIPT_NAME => '', PATH_INFO => $path,
        QUERY_STRING => defined $query ? $query : '', REQUEST_URI => $target,
        REQUEST_SCHEME => 'http', SERVER_NAME => 'localhost',
        SERVER_PORT => '80', SERVER_ADDR => '127.0.0.1',
        SERVER_PROTOCOL => 'HTTP/1.1', REMOTE_ADDR => '127.0.0.1',
        REMOTE_PORT => '1', DOCUMENT_ROOT => '/', 'wsgi.url_scheme' => 'http',
        %{ $how{names} || {} },
    );
    my $vars = defined $how{vars} ? $how{vars}
        : join '', map { _var($_, $names{$_}) } sort keys %names;
    my $body = defined $how{body} ? $how{body} : '';
    my $payload = pack('qqLL', -1, $how{file_bytes} || 0,
        defined $how{count}  ? $how{count}  : scalar keys %names,
        defined $how{inline} ? $how{inline} : length $body) . $vars . $body;
    return frame_of(REQUEST => $payload, flags => BODY_HERE, %how);
}

# Connects, and says nothing.
sub connect {
    my ($class, $path) = @_;
    my $socket = IO::Socket::UNIX->new(Peer => $path) or return undef;
    return bless {socket => $socket, buffer => ''}, $class;
}

# Connects and is welcomed; undef where it is not within 30 s.
sub hello {
    my ($class, $path) = @_;
    my $self = $class->connect($path) or return undef;
    $self->send(hello_of());
    my ($type) = $self->frame(30);
    return defined $type && $type == $TYPE{WELCOME} ? $self : undef;
}

sub send {
    my ($self, $bytes) = @_;
    local $SIG{PIPE} = 'IGNORE';
    my $at = 0;
    while ($at < length $bytes) {
        my $put = syswrite $self->{socket}, $bytes, length($bytes) - $at, $at;
        return 0 unless $put;
        $at += $put;
    }
    return 1;
}

sub close { CORE::close($_[0]{socket}) }

# 'open', or 'closed' by the other end within SECONDS.
sub state {
    my ($self, $seconds) = @_;
    my $end = time + ($seconds || 0);
    while (IO::Select->new($self->{socket})->can_read(
        $end > time ? $end - time : 0)) {
        my $got = sysread $self->{socket}, $self->{buffer}, 65536,
            length $self->{buffer};
        return 'closed' unless $got;
    }
    return 'open';
}

sub _need {
    my ($self, $bytes, $end) = @_;
    while (length $self->{buffer} < $bytes) {
        my $left = $end - time;
        return 0 if $left <= 0
            || !IO::Select->new($self->{socket})->can_read($left);
        return 0 unless sysread $self->{socket}, $self->{buffer}, 65536,
            length $self->{buffer};
    }
    return 1;
}

# The next frame: (type, payload, flags), or () when none comes.
sub frame {
    my ($self, $seconds) = @_;
    my $end = time + ($seconds || 30);
    return () unless $self->_need(16, $end);
    my (undef, undef, $type, $flags, $bytes) =
        unpack 'LSCCLL', $self->{buffer};
    return () unless $self->_need(16 + $bytes, $end);
    my $whole = substr $self->{buffer}, 0, 16 + $bytes, '';
    return ($type, substr($whole, 16), $flags);
}

# The types of the frames of an answer, and what its HEAD has behind it.
sub answer {
    my $self = shift;
    my @types;
    while (my ($type, $payload, $flags) = $self->frame) {
        push @types, $type;
        return ("@types", $payload)
            if $flags & 1 || grep { $type == $TYPE{$_} }
            qw(END REFUSED CANCELLED);
    }
    return ("@types none", '');
}

1;
