# SPDX-License-Identifier: Apache-2.0
#
# What was once wrong with maintenance, each by its name.

use strict;
use warnings FATAL => 'all';
use Test::More;
use Time::HiRes qw(sleep);
use WeaveTest;
use WeaveTest::Maintenance;

# The mappings of PID that lead to the maintenance board.
sub maps {
    my $pid = shift;
    open my $in, '<', "/proc/$pid/maps" or return;
    return grep { /memfd:weave-maintenance/ } <$in>;
}

# The parent looked for boards at every restart, and kept what it had mapped
# for that, for writing: so did its children.
subtest 'children cannot write to the board' => sub {
    my $httpd = paused('');
    my %old   = map { $_ => 1 } @{ $httpd->children };
    $httpd->graceful;
    ok eventually(sub {
        my @new = grep { !$old{$_} } @{ $httpd->children };
        return @new && maps($new[0]);
    }, 20), 'children of the second generation';
    for my $pid ($httpd->pid, grep { !$old{$_} } @{ $httpd->children }) {
        my @maps = maps($pid) or next;
        is scalar(grep { !/ r--s / } @maps), 0, "$pid reads only"
            or diag @maps;
    }
};

done_testing;
