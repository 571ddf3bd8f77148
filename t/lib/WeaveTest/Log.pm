# SPDX-License-Identifier: Apache-2.0
#
# The error logs of a server, read from where the test began.

package WeaveTest::Log;

use strict;
use warnings FATAL => 'all';
use Time::HiRes qw(sleep time);

# The format of conf/common.inc, and httpd's default, in which weaved and its
# workers write what belongs to no request.
my $LINE = qr/^\[[^\]]*\]\ \[(\w*):(\w+)\]
    \ \[pid\ (\d+)(?:\]\ \[id\ ([^\]]*)|:tid\ \d+)\]
    \ (?:\[(?:client|app)\ [^\]]*\]\ )?(.*)$/x;

# What is not about us: a libssl older than mod_ssl's; what a thread of event says whose
# connection httpd has closed at TERM; and that children of before have not left yet where
# event wants to start others.
my $MACHINE = qr/AH01882:|AH0309[23]:|AH03490:/;

# What httpd says at notice when a child crashes is no notice to us.
my $CRASH = qr/exit signal|Fatal Python error/;

# of this machine, counted once
my $processors;

my %HARMLESS = map { $_ => 1 }
    qw(notice info debug trace1 trace2 trace3 trace4 trace5 trace6 trace7 trace8);

# new(DIR, FILE...): from the present end of each file.
sub new {
    my ($class, $dir, @files) = @_;
    my %position = map { ("$dir/$_" => -s "$dir/$_" || 0) } @files;
    return bless {position => \%position, expected => [], ready => []}, $class;
}

# Lines as {module, level, pid, id, text, file}. What is not in the format (a
# crash of libc, a print before the logs were open) has the level "raw".
sub _parse {
    my ($file, $text) = @_;
    my %line = (file => $file, module => '', level => 'raw', text => $text);
    @line{qw(module level pid id text)} = ($1, $2, $3, $4, $5)
        if $text =~ $LINE;
    $line{id} = '-' unless defined $line{id};
    return \%line;
}

# Reads what is new, whole lines only.
sub _read {
    my $self = shift;
    for my $file (sort keys %{ $self->{position} }) {
        open my $in, '<:raw', $file or next;
        seek $in, $self->{position}{$file}, 0;
        while (my $text = <$in>) {
            last unless $text =~ s/\n\z//;
            push @{ $self->{ready} }, _parse($file, $text);
            $self->{position}{$file} = tell $in;
        }
        close $in;
    }
}

sub expect {
    my ($self, @patterns) = @_;
    push @{ $self->{expected} }, @patterns;
}

# For tests that make processes crash.
sub allow_crash { $_[0]{crashes} = 1 }

# All lines of crashes.
sub crashes {
    my $self = shift;
    my @lines;
    for my $file (sort keys %{ $self->{position} }) {
        open my $in, '<:raw', $file or next;
        push @lines,
            grep { /$CRASH|AH00046|SIGKILL|Segmentation|core dump/ } <$in>;
        close $in;
    }
    return @lines;
}

sub _is_bad {
    my ($self, $line) = @_;
    return 1 if $line->{text} =~ $CRASH && !$self->{crashes};
    return 0 if $HARMLESS{ $line->{level} } || $line->{text} =~ $MACHINE;
    return !grep { $line->{text} =~ $_ } @{ $self->{expected} };
}

sub _show {
    my $line = shift;
    return "$line->{module}:$line->{level} $line->{text}";
}

# The lines since last asked that no test expects.
sub unexpected {
    my $self = shift;
    $self->_read;
    my @lines = splice @{ $self->{ready} };
    return map { _show($_) } grep { $self->_is_bad($_) } @lines;
}

# All lines since last asked, once each WANT matches one of them or a minute is
# over, and a moment more, until no more come, for what belongs to them.
sub take {
    my ($self, @want) = @_;
    return join "\n", map { _show($_) } $self->take_lines(@want);
}

# Seconds that others have to do what they are about to: more where many processes
# wait for a processor. It is for what cannot be seen; eventually() waits for the rest.
sub moment {
    my ($average, $running) = _first_line('/proc/loadavg') =~ m{^([\d.]+) .* (\d+)/};
    my $load = $average > $running ? $average : $running;
    my $each = $load / ($processors ||= () = glob '/sys/devices/system/cpu/cpu[0-9]*');
    return 0.05 * ($each < 1 ? 1 : $each > 20 ? 20 : $each);
}

sub _first_line {
    my $file = shift;
    open my $in, '<', $file or return '0 0 0 1/1 1';
    return scalar <$in>;
}

# Reads until nothing more comes.
sub _read_on {
    my ($self, $end) = @_;
    my $before = -1;
    while ($before != @{ $self->{ready} } && time < $end) {
        $before = @{ $self->{ready} };
        sleep moment();
        $self->_read;
    }
}

sub take_lines {
    my ($self, @want) = @_;
    my $end  = time + 60;
    my $seen = 0;
    $self->_read;
    return splice @{ $self->{ready} } if !@want;
    while (1) {
        my @new = map { _show($_) } @{ $self->{ready} }[$seen .. $#{ $self->{ready} }];
        $seen += @new;
        @want = grep { my $want = $_; !grep { $_ =~ $want } @new } @want;
        last if !@want || time > $end;
        sleep 0.02;
        $self->_read;
    }
    $self->_read_on($end);
    return splice @{ $self->{ready} };
}

1;
