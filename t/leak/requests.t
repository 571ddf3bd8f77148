# SPDX-License-Identifier: Apache-2.0
#
# 100,000 requests leave nothing behind: memory, Python objects, descriptors
# and threads are what they were after the warm-up.

use strict;
use warnings FATAL => 'all';
use Test::More;
use WeaveTest;
use WeaveTest::Client ();
use WeaveTest::H2 ();
use WeaveTest::Httpd ();

my $TOTAL   = 100_000;
my $WARM_UP = 10_000;

my $one_child = mpm() eq 'prefork'
    ? "StartServers 1\nMinSpareServers 1\nMaxSpareServers 1\n"
        . "ServerLimit 1\nMaxRequestWorkers 1\n"
    : "StartServers 1\nServerLimit 1\nThreadsPerChild 8\n"
        . "MaxRequestWorkers 8\nMinSpareThreads 1\nMaxSpareThreads 8\n";

my $httpd = WeaveTest::Httpd->new(
    script => 'leak',
    conf   => $one_child
        . "MaxKeepAliveRequests 0\nLogLevel warn\n"
        . (mpm() eq 'prefork' ? '' : "Protocols h2c http/1.1\n")
        . 'WeaveApp / "DIR/sync.ini"',
);
# one client leaves as the next one comes: each MPM has a word for that
$httpd->log->expect(qr/AH00161|AH00484|AH10159|AH0028[67]/);
{
    # how many heaps malloc has hangs on which threads the kernel lets run
    local $ENV{MALLOC_ARENA_MAX} = 1;
    $httpd->start;
}

# {pid, rss in KB, fds, threads, blocks} of the one child.
sub facts {
    my %facts;
    @facts{qw(pid rss fds threads)} = split ' ', $httpd->get('/facts')->body;
    $facts{blocks} = $httpd->get('/blocks')->body;
    return \%facts;
}

# Pipelined, a hundred at a time: as many as this machine can.
sub ask {
    my $count  = shift;
    my $client = $httpd->client;
    my $batch  = join '', map {
        WeaveTest::Client::format_request($_ % 5 == 4 ? 'POST' : 'GET',
            "/mixed?$_", $_ % 5 == 4 ? (body => 'x' x 50) : ())
    } 1 .. 100;
    for (1 .. $count / 100) {
        $client->send($batch);
        for my $i (1 .. 100) {
            my $res = $client->response;
            return "request $i: " . $res->status
                unless $res->status == 200 && $res->complete;
        }
    }
    return '';
}

# Connections of the last round may linger a moment.
sub is_flat {
    my ($before, $what) = @_;
    my $after;
    eventually(sub {
        $after = facts();
        return $after->{fds} <= $before->{fds} + 2;
    });
    is $after->{pid}, $before->{pid}, "$what: the same child";
    cmp_ok $after->{rss}, '<', $before->{rss} + 2048,
        "$what: RSS $before->{rss} KB, then $after->{rss} KB";
    cmp_ok $after->{fds}, '<=', $before->{fds} + 2, "$what: descriptors";
    cmp_ok $after->{blocks}, '<', $before->{blocks} + 2000,
        "$what: Python's blocks";
    return $after;
}

is ask($WARM_UP), '', 'the warm-up';
my $before = facts();
is ask($TOTAL), '', "$TOTAL requests";
my $after = is_flat($before, 'HTTP/1.1');
cmp_ok $after->{threads}, '<=', $before->{threads}, 'threads';

SKIP: {
    skip 'mod_http2 and prefork', 1 if mpm() eq 'prefork';
    my $h2 = eval { WeaveTest::H2->new(port => $httpd->port) };
    skip 'no mod_http2', 1 unless $h2 && $h2->request('GET', '/facts')->{status};
    my $round = sub {
        for (1 .. $_[0]) {
            my $own = WeaveTest::H2->new(port => $httpd->port);
            my @ids = map { $own->start('GET', "/mixed?$_") } 1 .. 20;
            $own->response($_) for @ids;
            $own->close;
        }
    };
    $round->(50);
    $before = facts();
    $round->(200);
    $after = is_flat($before, 'HTTP/2');
    cmp_ok $after->{threads}, '<=', $before->{threads} + 12,
        'HTTP/2: threads';
}

subtest 'clients that leave' => sub {
    plan skip_all => 'one child that is busy' if mpm() eq 'prefork';
    my $leave = sub {
        for (1 .. $_[0]) {
            my $client = $httpd->client;
            $client->send(
                WeaveTest::Client::format_request('GET', "/mixed?$_"));
            $client->close($_ % 2);
        }
    };
    $leave->(300);
    $before = facts();
    $leave->(2000);
    is_flat($before, 'after 2000');
};

ok defined $httpd->stop, 'it stops';
$httpd->no_crash;
$httpd->quiet;
finish;
