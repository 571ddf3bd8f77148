# SPDX-License-Identifier: Apache-2.0
#
# A long request across graceful restarts and reloads: it is finished.

use strict;
use warnings FATAL => 'all';
use Test::More;
use WeaveTest;
use WeaveTest::Graceful qw(restarts);
use WeaveTest::Workers;

my $httpd = new_httpd(conf => 'WeaveApp /app "DIR/sync.ini"');
my @first = serves($httpd);

subtest 'graceful restarts' => sub {
    my $go = $httpd->dir . '/go-1';
    my ($client, $pid) = in_flight($httpd, 'GET', "/app/hold?until=$go");
    restarts($httpd) for 1 .. 2;
    is_deeply [workers($httpd)], \@first, 'cost the workers nothing';
    like $httpd->get('/app/who')->body, qr/^(?:$first[0]|$first[1]) /,
        'who answer the next children';
    spew($go, '');
    my $res = $client->response;
    is $res->status, 200, 'what was asked before them is answered';
    like $res->body, qr/^$pid /, 'by who had it';
};

subtest 'reloads' => sub {
    my $go = $httpd->dir . '/go-2';
    my ($client, $pid) = in_flight($httpd, 'POST', "/app/hold?until=$go",
        body => 'x');
    reloads($httpd);
    my $res = $httpd->get('/app/who');
    is scalar(grep { $res->body =~ /^$_ / } @first), 0, 'others answer now';
    spew($go, '');
    $res = $client->response;
    is $res->status, 200, 'what was asked before is answered';
    like $res->body, qr/^$pid /, 'by who had it';
    ok gone($_), 'who then leaves' for @first;
};

ok defined $httpd->stop, 'httpd stops';
$httpd->no_crash;
finish;
