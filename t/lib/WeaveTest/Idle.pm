# SPDX-License-Identifier: Apache-2.0
#
# When httpd may get a TERM or HUP: not while a thread of event is closing a
# connection, which crashes then. That is a fault of httpd's (docs/operations.md).

package WeaveTest::Idle;

use strict;
use warnings FATAL => 'all';
use base 'Exporter';

use Time::HiRes qw(sleep time);

our @EXPORT_OK = qw(wait_until_idle);

# Waits until the threads of all PIDS sleep; SECONDS at most, where some never do.
sub wait_until_idle {
    my ($seconds, @pids) = @_;
    my $end    = time + $seconds;
    my $before = 'unknown';
    while (1) {
        my $now = _sleeps(@pids);
        return 1 if $now eq $before && $now !~ /awake/;
        return 0 if time > $end;
        $before = $now;
        sleep 0.02;
    }
}

# How often each thread has gone to sleep, or that it is awake. Where that is the
# same twice, all of them have slept in between.
sub _sleeps {
    my $text = '';
    for my $file (map { glob "/proc/$_/task/*/status" } @_) {
        my $status = '';
        if (open my $in, '<', $file) {
            local $/;
            $status = <$in> || '';
        }
        $text .= $status =~ /^State:\s+S/m
            ? join ' ', $file, $status =~ /ctxt_switches:\s+(\d+)/g, "\n"
            : "$file: awake\n";
    }
    return $text;
}

1;
