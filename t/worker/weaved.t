# SPDX-License-Identifier: Apache-2.0
#
# weaved is killed: another one takes its workers over, and nobody notices.

use strict;
use warnings FATAL => 'all';
use Test::More;
use WeaveTest;
use WeaveTest::Load ();
use WeaveTest::Workers;

my $httpd = new_httpd(expect => qr/WEAVE0131|WEAVE0075|WEAVE0085/);
my @first = serves($httpd);
my $load  = WeaveTest::Load->start($httpd->port, '/sleep?s=0.02',
    clients => 3, keep_alive => 1);
ok eventually(sub {
    my $sum = 0;
    $sum += $_->{requests} for map { @{ $_->{workers} } }
        map { @{ $_->{generations} } } @{ status($httpd)->{applications} };
    $sum > 25;
}), 'there is load';

for my $round (1, 2) {
    my $weaved = status($httpd)->{pid};
    my $log    = $httpd->logged(qr/WEAVE0086/, sub { kill KILL => $weaved });
    like $log, qr/weave:error WEAVE0131.*(?:SIGKILL|Killed)/, 'httpd says that it died';
    ok eventually(sub { workers($httpd) == 2 }), 'there is another one';
    isnt status($httpd)->{pid}, $weaved, 'indeed';
    is_deeply [sort { $a <=> $b } workers($httpd)],
        [sort { $a <=> $b } @first], 'with the same workers';
    is generation($httpd), 1, 'of the same generation';
}

kill KILL => $first[0];
ok eventually(sub {
    my @now = workers($httpd);
    @now == 2 && !grep { $_ == $first[0] } @now;
}), 'it replaces those that die';
reloads($httpd);
ok gone($first[1]), 'and lets those leave that it has not started';

my ($answered, $reopened, @failures) = $load->stop;
cmp_ok $answered, '>', 20, 'there was load all the time';
is_deeply \@failures, [], 'no request failed';

{
    # its workers, too, so that there is nothing to take over
    my $weaved = status($httpd)->{pid};
    my @now    = workers($httpd);
    kill KILL => $weaved, @now;
    ok eventually(sub {
        my %old = map { $_ => 1 } @now;
        2 == grep { !$old{$_} } workers($httpd);
    }), 'after weaved and all workers there are others';
    my @deaths = $httpd->log_text =~ /WEAVE0131: weaved \(pid (\d+)\)/g;
    is_deeply [grep { $_ == $weaved } @deaths], [$weaved], 'weaved has died';
    is @deaths, 3, 'and none that followed it';
}

my @all = descendants($httpd->pid);
ok defined $httpd->stop, 'httpd stops';
ok gone($_), 'nobody is left' for @all;
finish;
