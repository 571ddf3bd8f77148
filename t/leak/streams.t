# SPDX-License-Identifier: Apache-2.0
#
# Large bodies pass through: neither they nor slow clients cost memory.

use strict;
use warnings FATAL => 'all';
use Test::More;
use Time::HiRes qw(sleep);
use WeaveTest;
use WeaveTest::Client ();
use WeaveTest::Httpd ();

plan skip_all => 'one child has to serve two clients' if mpm() eq 'prefork';

my $MB    = 1024;      # RSS is in KB
my $LARGE = 200 * $MB; # the bodies, in KB

my $httpd = WeaveTest::Httpd->new(
    script => 'streams',
    # what has no length is spooled into a file
    more   => "[limits]\nspool_max = 1 GiB\n",
    conf   => "StartServers 1\nServerLimit 1\nThreadsPerChild 8\n"
        . "MaxRequestWorkers 8\nMinSpareThreads 1\nMaxSpareThreads 8\n"
        . 'WeaveApp / "DIR/sync.ini"',
);
$httpd->start;

sub rss { return $httpd->get('/rss')->body }

rss();
my $before = rss();

subtest 'a reader who stops' => sub {
    my $note   = new_note();
    my $client = $httpd->client;
    $client->send(WeaveTest::Client::format_request('GET', '/endless',
        note => $note));
    $client->readable(60);
    sleep 1;
    cmp_ok rss(), '<', $before + 10 * $MB, 'is waited for';
    $client->close(1);
    my ($count) = join(' ', notes($note, 1)) =~ /yielded (\d+)/;
    cmp_ok $count, '<', 1000, 'and the application waits with the server';
};

subtest 'a large upload' => sub {
    my $client = $httpd->client;
    $client->send("POST /swallow HTTP/1.1\r\nHost: x\r\n"
            . "Transfer-Encoding: chunked\r\n\r\n");
    my $chunk = sprintf "%x\r\n%s\r\n", 65536, 'u' x 65536;
    $client->send($chunk) for 1 .. $LARGE / 64;
    my $during = rss();
    $client->send("0\r\n\r\n");
    is $client->response->body, $LARGE * 1024, 'arrives';
    cmp_ok $during, '<', $before + 10 * $MB, 'without being kept';
};

subtest 'a large file' => sub {
    my $file = root() . '/htdocs/sparse.bin';
    open my $out, '>', $file or die "$file: $!";
    truncate $out, $LARGE * 1024 or die "truncate: $!";
    close $out;
    my $client = $httpd->client;
    $client->send(
        WeaveTest::Client::format_request('GET', '/large_file', close => 1));
    $client->readable(60);
    sleep 0.5;
    cmp_ok rss(), '<', $before + 10 * $MB, 'is not read into memory';
    $client->close(1);
    unlink $file;
};

cmp_ok rss(), '<', $before + 10 * $MB, 'nor anything left';
ok defined $httpd->stop, 'it stops';
$httpd->no_crash;
finish;
