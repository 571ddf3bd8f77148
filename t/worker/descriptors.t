# SPDX-License-Identifier: Apache-2.0
#
# Who may write what is shared: nobody but weaved has the roster open for
# writing, and nobody at all the maintenance board. What the parent has open,
# whatever another module forks would inherit.

use strict;
use warnings FATAL => 'all';
use Test::More;
use WeaveTest;
use WeaveTest::Workers;

# The memory that PID has open for writing, or has mapped so.
sub writes {
    my $pid = shift;
    my %found;
    for my $fd (glob "/proc/$pid/fd/*") {
        my ($name) = (readlink $fd or next) =~ m{^/memfd:(weave-\S+)} or next;
        (my $info = $fd) =~ s{/fd/}{/fdinfo/};
        my ($flags) = (eval { slurp($info) } || '') =~ /^flags:\s*([0-7]+)/m;
        $found{$name} = 1 if oct($flags || 0) & 3;
    }
    my $maps = eval { slurp("/proc/$pid/maps") } || '';
    $found{$_} = 1 for $maps =~ m{^\S+ .w\S* .*/memfd:(weave-\S+)}mg;
    return grep { /^weave-(?:roster|maintenance)\z/ } sort keys %found;
}

# or nobody could look into a worker
my $httpd = new_httpd(conf => <<'END');
WeaveApp / "DIR/sync.ini"
CoreDumpDirectory "DIR"
END
serves($httpd);
for my $when ('at first', 'after a graceful') {
    my $weaved = status($httpd)->{pid};
    is_deeply [writes($weaved)], ['weave-roster'], "weaved writes the roster, $when";
    my @others = grep { $_ != $weaved } $httpd->pid, descendants($httpd->pid);
    cmp_ok scalar @others, '>', 3, 'there are others';
    is_deeply [map { writes($_) } @others], [], 'and they write neither';
    ok $httpd->renew, 'a graceful' if $when eq 'at first';
}

# The parent can start another one all the same, and hand on what is said.
{
    my $weaved = status($httpd)->{pid};
    $httpd->log->expect(qr/WEAVE0131/);
    $httpd->logged(qr/WEAVE0086/, sub { kill KILL => $weaved });
    ok eventually(sub { ((status($httpd) || {})->{pid} || $weaved) != $weaved }),
        'another weaved';
    is +(weavectl($httpd, '-s', $httpd->state, 'maintenance', 'on'))[0], 0, 'on';
    is $httpd->get('/who')->status, 503, 'is in force';
    is +(weavectl($httpd, '-s', $httpd->state, 'maintenance', 'off'))[0], 0, 'off';
    is $httpd->get('/who')->status, 200, 'and again';
}
ok defined $httpd->stop, 'httpd stops';
finish;
