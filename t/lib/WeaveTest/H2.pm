# SPDX-License-Identifier: Apache-2.0
#
# Just enough of an HTTP/2 client (RFC 9113) over cleartext with prior
# knowledge: requests on streams, bodies, resets, the windows of an upload. Of
# HPACK it writes literals and reads the statuses of the static table.

package WeaveTest::H2;

use strict;
use warnings FATAL => 'all';
use WeaveTest::Client ();

use constant {
    DATA    => 0,
    HEADERS => 1,
    RESET   => 3,
    SETTINGS => 4,
    PING    => 6,
    GOAWAY  => 7,
    WINDOW  => 8,
};

# RFC 9113, section 6.9.2 and 6.5.2
use constant {FIRST_WINDOW => 65_535, INITIAL_WINDOW_SIZE => 4};

my %STATUS = (
    0x88 => 200, 0x89 => 204, 0x8a => 206, 0x8b => 304,
    0x8c => 400, 0x8d => 404, 0x8e => 500,
);

sub new {
    my ($class, %arg) = @_;
    my $self = bless {
        client  => WeaveTest::Client->new(%arg),
        next    => 1,
        streams => {},
        initial => FIRST_WINDOW,
        given   => {},    # to a stream, beyond the first window; 0: to all
        sent    => {},
        pongs   => 0,
    }, $class;
    $self->{client}->send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    $self->_frame(SETTINGS, 0, 0, '');
    return $self;
}

sub _frame {
    my ($self, $type, $flags, $stream, $payload) = @_;
    my $length = pack 'N', length $payload;
    return $self->{client}->send(substr($length, 1)
            . pack('CCN', $type, $flags, $stream) . $payload);
}

# A string literal without Huffman coding (RFC 7541, section 5.2).
sub _string {
    my $text   = shift;
    my $length = length $text;
    return pack('C', $length) . $text if $length < 127;
    my $prefix = pack 'C', 127;
    $length -= 127;
    while ($length >= 128) {
        $prefix .= pack 'C', $length % 128 + 128;
        $length = int($length / 128);
    }
    return $prefix . pack('C', $length) . $text;
}

# Opens a stream and returns its number. open => 1: a body will follow.
sub start {
    my ($self, $method, $path, %opt) = @_;
    my @headers = (
        ':method'    => $method,
        ':scheme'    => 'http',
        ':authority' => 'localhost',
        ':path'      => $path,
        @{ $opt{headers} || [] },
    );
    push @headers, 'x-note' => $opt{note} if $opt{note};
    my $block = '';
    while (my ($name, $value) = splice @headers, 0, 2) {
        $block .= "\0" . _string($name) . _string($value);
    }
    my $id = $self->{next};
    $self->{next} += 2;
    $self->{streams}{$id} = {status => 0, body => ''};
    my $has_body = $opt{open} || defined $opt{body};
    $self->_frame(HEADERS, 4 | ($has_body ? 0 : 1), $id, $block);
    $self->body($id, $opt{body}, 1) if defined $opt{body};
    return $id;
}

sub body {
    my ($self, $id, $bytes, $last) = @_;
    my @parts = unpack '(a16000)*', $bytes;
    @parts = ('') unless @parts;
    $self->_data($id, $parts[$_], $last && $_ == $#parts) for 0 .. $#parts;
}

sub _data {
    my ($self, $id, $bytes, $last) = @_;
    $self->{sent}{$_} += length $bytes for 0, $id;
    return $self->_frame(DATA, $last ? 1 : 0, $id, $bytes);
}

# How much the server takes now.
sub _room {
    my ($self, $id) = @_;
    my $all  = FIRST_WINDOW + ($self->{given}{0} || 0) - ($self->{sent}{0} || 0);
    my $room = $self->{initial} + ($self->{given}{$id} || 0)
        - ($self->{sent}{$id} || 0);
    return $all < $room ? $all : $room;
}

# As a client uploads: BYTES as the server takes them, and the end with LAST.
# 0: it has ended the stream before all were sent.
sub upload {
    my ($self, $id, $bytes, $last) = @_;
    my $stream = $self->{streams}{$id};
    for my $part (unpack '(a16000)*', $bytes) {
        until ($stream->{ended} || $self->_room($id) >= length $part) {
            return 0 unless $self->_read_frame;
        }
        return 0 if $stream->{ended};
        $self->_data($id, $part, 0);
    }
    return $last ? $self->_data($id, '', 1) : 1;
}

# What the server has sent until it answers this has been read then.
sub settle {
    my $self = shift;
    my $want = $self->{pongs} + 1;
    $self->_frame(PING, 0, 0, 'settled?');
    while ($self->{pongs} < $want) {
        return 0 unless $self->_read_frame;
    }
    return 1;
}

sub reset_stream {
    my ($self, $id) = @_;
    return $self->_frame(RESET, 0, $id, pack 'N', 8);
}

# What is known of it: {status, body, ended, complete}.
sub stream { return $_[0]{streams}{ $_[1] } }

# Reads until stream ID has ended.
sub response {
    my ($self, $id) = @_;
    my $stream = $self->{streams}{$id};
    until ($stream->{ended}) {
        return $stream unless $self->_read_frame;
    }
    return $stream;
}

sub request {
    my ($self, @request) = @_;
    return $self->response($self->start(@request));
}

# Reads until the stream has got something of its body.
sub wait_for_body {
    my ($self, $id) = @_;
    while (!length $self->{streams}{$id}{body}) {
        $self->_read_frame or return 0;
    }
    return 1;
}

sub _read_frame {
    my $self = shift;
    my $head = $self->{client}->_bytes(9);
    return 0 if length $head < 9;
    my ($high, $low, $type, $flags, $id) = unpack 'CnCCN', $head;
    my $payload = $self->{client}->_bytes($high << 16 | $low);
    my $stream  = $self->{streams}{$id} || {};
    if ($type == DATA) {
        $stream->{body} .= $payload;
        $self->_give_window($id, length $payload);
    }
    elsif ($type == HEADERS) {
        $stream->{status} ||= $STATUS{ unpack 'C', $payload } || 'other';
    }
    elsif ($type == RESET) {
        @$stream{qw(ended complete)} = (1, 0);
    }
    else {
        $self->_read_control($type, $flags & 1, $id, $payload);
    }
    @$stream{qw(ended complete)} = (1, 1)
        if ($type == DATA || $type == HEADERS) && $flags & 1;
    return $type != GOAWAY || !unpack('x4N', $payload);
}

sub _read_control {
    my ($self, $type, $is_ack, $id, $payload) = @_;
    if ($type == WINDOW) {
        $self->{given}{$id} += unpack('N', $payload) & 0x7fff_ffff;
    }
    elsif ($type == SETTINGS && !$is_ack) {
        my %set = unpack '(nN)*', $payload;
        $self->{initial} = $set{+INITIAL_WINDOW_SIZE}
            if defined $set{+INITIAL_WINDOW_SIZE};
        $self->_frame(SETTINGS, 1, 0, '');
    }
    elsif ($type == PING) {
        $is_ack ? $self->{pongs}++ : $self->_frame(PING, 1, 0, $payload);
    }
    return;
}

sub _give_window {
    my ($self, $id, $bytes) = @_;
    return unless $bytes;
    $self->_frame(WINDOW, 0, $_, pack 'N', $bytes) for 0, $id;
}

sub close { return $_[0]{client}->close($_[1]) }

1;
