# SPDX-License-Identifier: Apache-2.0
#
# Clients that ask all the time, from processes of their own.

package WeaveTest::Load;

use strict;
use warnings FATAL => 'all';
use Time::HiRes qw(sleep time);
use WeaveTest::Client ();

# start(PORT, TARGET, clients => N, keep_alive => BOOL, pause => SECONDS)
sub start {
    my ($class, $port, $target, %opt) = @_;
    my @pipes;
    for (1 .. $opt{clients} || 3) {
        my $pid = open my $pipe, '-|';
        die "fork: $!" unless defined $pid;
        if (!$pid) {
            _ask_until_told($port, $target, %opt);
            require POSIX;
            POSIX::_exit(0);
        }
        push @pipes, [$pid, $pipe];
    }
    return bless {pipes => \@pipes}, $class;
}

# Ends the clients and returns (ANSWERED, REOPENED, FAILURES as texts).
sub stop {
    my $self = shift;
    kill 'TERM', map { $_->[0] } @{ $self->{pipes} };
    my ($answered, $reopened, @failures) = (0, 0);
    for my $client (@{ $self->{pipes} }) {
        my $pipe = $client->[1];
        while (my $line = <$pipe>) {
            chomp $line;
            if    ($line =~ /^answered (\d+) reopened (\d+)/) {
                $answered += $1;
                $reopened += $2;
            }
            else { push @failures, $line }
        }
        close $pipe;
    }
    return ($answered, $reopened, @failures);
}

# A kept-alive connection that httpd closes before any byte of an answer is
# opened again once, as clients do; anything else is a failure.
sub _ask_until_told {
    my ($port, $target, %opt) = @_;
    my ($told, $answered, $reopened, $client) = (0, 0, 0);
    local $SIG{TERM} = sub { $told = 1 };
    $| = 1;
    until ($told) {
        my $fresh = !$client;
        my $res   = eval {
            $client ||= WeaveTest::Client->new(port => $port);
            $client->request('GET', $target, close => !$opt{keep_alive});
        };
        my $error = $@;
        if ($res && $res->status == 200 && $res->complete) {
            $answered++;
            undef $client
                if !$opt{keep_alive}
                || lc($res->header('Connection') || '') eq 'close';
        }
        elsif (!$told && !$fresh && $res && $res->head eq '') {
            $reopened++;
            undef $client;
        }
        elsif (!$told) {
            printf "%.3f %s\n", time,
                $res ? 'status ' . $res->status : $error || 'no answer';
            undef $client;
        }
        sleep($opt{pause}) if $opt{pause};
    }
    print "answered $answered reopened $reopened\n";
}

1;
