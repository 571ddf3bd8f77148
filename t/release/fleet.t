# SPDX-License-Identifier: Apache-2.0
#
# docs/operations.md, "A fleet": three nodes behind a balancer get a new release one
# after the other, in both ways, and no client notices.

use strict;
use warnings FATAL => 'all';
use Test::More;
use WeaveTest;
use WeaveTest::Fleet;
use WeaveTest::Load ();
use WeaveTest::Workers;

share_release('1.0');
share_release('2.0');
share_release('3.0');
share_release('4.0', 'raise ImportError("a release that is no good")');
share_release('5.0');

# The balancer's address passes maintenance, as the balancer is the one to decide. The
# first node has releases before the others.
my @nodes = map {
    node(more   => {maintenance => "allow = 127.0.0.1\n", release => "channel = $_\n"},
         expect => qr/WEAVE0047|a release that is no good|WEAVE022\d|WEAVE0156|$STACKS/)
} qw(canary prod prod);

sub roll {
    my ($what, $code) = @_;
    my $count = 0;
    for my $node (@nodes) {
        my ($status, $said) = $code ? $code->($node, $what) : install($node, $what);
        return ($count, $said) if $status;
        $count++;
    }
    return $count;
}

sub all_answer {
    my ($version, $why) = @_;
    is join(' ', map { answers($_) } @nodes), join(' ', ($version) x @nodes), $why;
}

sub lost_nothing {
    my ($load, $why) = @_;
    my ($answered, $reopened, @failures) = $load->stop;
    is scalar @failures, 0, "$why: no request was lost" or diag join ' ', grep { defined } @failures[0 .. 9];
    cmp_ok $answered, '>', 50, "$why: of $answered";
}

is roll('==1.0'), 3, 'a first release while nothing runs';
serves($_) for @nodes;
all_answer('1.0', 'it serves');

subtest 'nodes stay: the balancer asks /__lbheartbeat__' => sub {
    my $balancer = balancer('/__lbheartbeat__', @nodes);
    $balancer->start;
    is_in($balancer, $_, 1) for @nodes;
    my $load = WeaveTest::Load->start($balancer->port, '/', clients => 3, pause => 0.02);
    is roll('==2.0'), 3, 'one after the other';
    all_answer('2.0', 'all have it');
    my ($count, $said) = roll('==4.0');
    is $count, 0, 'a bad release stops at the first node';
    like $said, qr/a release that is no good/, 'which says why';
    all_answer('2.0', 'the old one serves');
    lost_nothing($load, 'while nodes stay');
    is $balancer->stop > 0, 1, 'the balancer ends';
};

subtest 'nodes go: the balancer asks /__heartbeat__' => sub {
    my $balancer = balancer('/__heartbeat__', @nodes);
    $balancer->start;
    is_in($balancer, $_, 1) for @nodes;
    my $load = WeaveTest::Load->start($balancer->port, '/', clients => 3, pause => 0.02);
    my $replace = sub {
        my ($node, $what) = @_;
        is +(weavectl($node, '-s', $node->state, 'maintenance', 'on', '--for', '1h'))[0], 0,
            'maintenance on';
        is_in($balancer, $node, 0);
        ok $node->stop('WINCH'), 'httpd ends';
        my @result = install($node, $what);
        $node->start;
        serves($node);
        is +(weavectl($node, '-s', $node->state, 'maintenance', 'off'))[0], 0, 'maintenance off';
        is_in($balancer, $node, 1);
        return @result;
    };
    is roll('==3.0', $replace), 3, 'one after the other';
    all_answer('3.0', 'all have it');
    lost_nothing($load, 'while nodes go');
};

subtest 'a canary' => sub {
    my $canary = $nodes[0];
    channel('prod',   '3.0');
    channel('canary', '5.0');
    is roll(''), 3, 'each node takes what its channel names';
    is join(' ', map { answers($_) } @nodes), '5.0 3.0 3.0', 'one tries the next release';
    is +(weavectl($canary, 'rollback', '-i', $canary->dir . '/sync.ini'))[0], 0, 'and goes back';
    all_answer('3.0', 'the others have not noticed');
};

$_->stop for @nodes;
$_->quiet for @nodes;
finish();
