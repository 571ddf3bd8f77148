# SPDX-License-Identifier: Apache-2.0
#
# Bodies that the application reads as they come, and workers that die or run
# out of time meanwhile.

use strict;
use warnings FATAL => 'all';
use Test::More;
use WeaveTest;
use WeaveTest::Httpd ();
use WeaveTest::Workers;

my $app = <<'END';
import os

from weave_test import note

def application(environ, start_response):
    path = environ["PATH_INFO"]
    body = environ["wsgi.input"]
    if path == "/pid":
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b"%d" % os.getpid()]
    if path == "/late":
        body.read(10)
        note(environ, "half of it")
        body.read(10)
    if path == "/echo":
        return echo(start_response, body)
    size = sum(len(part) for part in iter(lambda: body.read(65536), b""))
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"%d" % size]

def echo(start_response, body):
    start_response("200 OK", [("Content-Type", "text/plain")])
    while True:
        part = body.read(10)
        if not part:
            return
        yield part
END

sub serve {
    my $limits = shift;
    my $httpd  = WeaveTest::Httpd->new(
        mode => 'processes',
        more => "stream_input = true\n[workers]\nprocesses = 1\nthreads = 2\n"
            . "[limits]\nqueue_timeout = 30\n$limits",
        expect => qr/WEAVE00(?:71|75|99)|WEAVE0137|$STACKS/,
        app    => $app);
    $httpd->log->allow_crash;
    serves($httpd, 1);
    return $httpd;
}

# A request whose worker waits for the second half of its body.
sub half_sent {
    my ($httpd, $path, $note) = @_;
    my $client = $httpd->client;
    $client->send("POST $path HTTP/1.1\r\nHost: localhost\r\n"
            . ($note ? "X-Note: $note\r\n" : '')
            . "Content-Length: 20\r\nConnection: close\r\n\r\n0123456789");
    is_deeply [notes($note, 1)], ['half of it'], 'it waits' if $note;
    return $client;
}

my $httpd = serve("backoff = 7\n");

sub pid_of_worker { return $httpd->get('/pid')->body }

subtest 'killed while it waits, with the head out' => sub {
    my $pid    = pid_of_worker();
    my $client = half_sent($httpd, '/echo');
    my $text   = '';
    while ($text !~ /0123456789/) {
        my $byte = $client->_bytes(1);
        last if $byte eq '';
        $text .= $byte;
    }
    like $text, qr/0123456789/, 'the answer has begun';
    kill KILL => $pid;
    ok gone($pid), 'the worker is gone';
    $client->send('0123456789');
    $text = $client->drain;
    unlike $text, qr/503|pauses|Back soon|maintenance/,
        'no second answer inside the first';
    unlike $text, qr/\r\n0\r\n\r\n\z/, 'and it does not look whole';
    serves($httpd, 1);
};

subtest 'killed while it waits, before the head' => sub {
    my $pid    = pid_of_worker();
    my $client = half_sent($httpd, '/late', new_note());
    kill KILL => $pid;
    ok gone($pid), 'the worker is gone';
    $client->send('0123456789');
    my $res = $client->response;
    is $res->status, 502, 'it had begun: 502, not 503';
    is $res->header('Retry-After'), 7, 'with Retry-After';
    serves($httpd, 1);
};

sub memory_kib {
    my $most = 0;
    for my $pid (@{ $httpd->children }) {
        my $status = eval { slurp("/proc/$pid/status") } || '';
        my ($kib) = $status =~ /^VmRSS:\s+(\d+)/m;
        $most = $kib if $kib && $kib > $most;
    }
    return $most;
}

subtest 'a large upload' => sub {
    my $part   = 'x' x (1 << 20);
    my $client = $httpd->client;
    $client->send("POST / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
            . "Transfer-Encoding: chunked\r\n\r\n");
    my $before = memory_kib();
    $client->send(sprintf "%x\r\n%s\r\n", length $part, $part) for 1 .. 96;
    my $after = memory_kib();
    $client->send("0\r\n\r\n");
    is $client->response->body, 96 << 20, 'arrives whole';
    cmp_ok $after - $before, '<', 32 * 1024,
        'and a child of httpd does not grow with it';
};

ok defined $httpd->stop, 'it stops';

subtest 'out of time while it waits' => sub {
    $httpd = serve("request_timeout = 1\n");
    my $client = half_sent($httpd, '/late', new_note());
    ok eventually(sub { $httpd->log_text =~ /WEAVE0099/ }), 'it is said';
    $client->send('0123456789');
    is $client->response->status, 504, 'the answer is there all the same';
    ok eventually(sub { ($httpd->get('/pid')->body || '') =~ /^\d+$/ }),
        'another worker serves';
    ok defined $httpd->stop, 'it stops';
};

finish;
