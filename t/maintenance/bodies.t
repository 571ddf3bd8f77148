# SPDX-License-Identifier: Apache-2.0
#
# Requests with a body while maintenance is on: it is read, or the connection is
# closed so that the client sees the 503 and not a reset.

use strict;
use warnings FATAL => 'all';
use Test::More;
use Time::HiRes qw(sleep time);
use WeaveTest;
use WeaveTest::Client ();
use WeaveTest::Maintenance;

my $PATH = '/1.1/u/storage/bookmarks';
my %on   = (body => $STORAGE, retry => 60);

sub on {
    my (%arg) = @_;
    return paused('On', set => ['retry_after 60'], %arg);
}

sub head {
    my ($method, @headers) = @_;
    return WeaveTest::Client::format_request($method, $PATH,
        headers => \@headers);
}

# What comes until the end, which must be one and no reset.
sub ends_cleanly {
    my ($client, $name) = @_;
    my $more = '';
    while (1) {
        die "no end\n" unless $client->readable(60);
        my $got = sysread $client->{socket}, $more, 65536, length $more;
        next if $got;
        my $why = defined $got ? '' : "$!";
        return is "$client->{buffer}$more$why", '', $name;
    }
}

# Sends BYTES in small steps, so that the server may close meanwhile.
sub trickle {
    my ($client, $bytes) = @_;
    for my $part (unpack '(a65536)*', $bytes) {
        return 0 unless $client->send($part);
    }
    return 1;
}

# The answer, the end, and that all of it could be sent.
sub refused {
    my ($client, $name, %want) = @_;
    my $res = $client->response;
    is_refusal($res, $name, %on, %want);
    like $res->header('Connection') || '', qr/close/i, 'the connection ends';
    return ends_cleanly($client, 'and does so behind the answer');
}

sub sizes {
    my $httpd = shift;
    my $note  = new_note();
    for my $size (1, 65_536, 30 << 20) {
        for my $method (qw(POST PUT)) {
            my $body   = 'x' x $size;
            my $client = $httpd->client;
            ok $client->send(head($method, 'X-Note' => $note,
                'Content-Length' => $size) . $body), "$size bytes can be sent";
            refused($client, "$method of them");
            $client = $httpd->client;
            ok $client->send(head($method, 'X-Note' => $note,
                'Transfer-Encoding' => 'chunked')
                . WeaveTest::Client::chunked(unpack '(a100000)*', $body)),
                'in chunks';
            refused($client, "$method of those");
        }
    }
    is_deeply [notes($note)], [], 'the application gets none';
}

for my $mode (modes()) {
    subtest "sizes, $mode" => sub {
        sizes(on(mode => $mode));
    };
    subtest "sizes, $mode, streamed" => sub {
        sizes(on(mode => $mode, more => "stream_input = true\n"));
    };
}

my $httpd = on();

subtest 'Expect: 100-continue' => sub {
    my @ask = ('Content-Length' => 1_000_000, Expect => '100-continue');
    my $client = $httpd->client;
    $client->send(head('PUT', @ask));
    refused($client, '503, not 100');

    $client = $httpd->client;
    ok trickle($client, head('PUT', @ask) . 'x' x 1_000_000),
        'a client that does not wait';
    refused($client, 'sees it too');

    $client = $httpd->client;
    $client->send(head('POST', Expect => '100-continue',
        'Transfer-Encoding' => 'chunked'));
    refused($client, 'chunked');
};

subtest 'in the middle of an upload' => sub {
    my $size   = 8 << 20;
    my $client = $httpd->client;
    $client->send(head('POST', 'Content-Length' => $size) . 'x' x ($size / 2));
    ok !$client->readable(0.3), 'half of it: nothing yet';
    ok $client->send('x' x ($size / 2)), 'the other half';
    refused($client, 'then it is refused');

    my $hasty = on(conf => "Timeout 2\n");
    $client = $hasty->client;
    $client->send(head('POST', 'Content-Length' => $size) . 'x' x ($size / 2));
    my $begin = time;
    refused($client, 'a client that sends no more');
    cmp_ok time - $begin, '<', 19, 'need not wait for as long as others';

    $client = $httpd->client;
    $client->send(head('POST', 'Content-Length' => $size) . 'x' x 1000);
    $client->shut_writing;
    is_refusal($client->response, 'one that ends too early', %on);

    # a connection that closes is reset after 2 s of silence, but with event
    $client = $httpd->client;
    $client->send(head('POST', 'Transfer-Encoding' => 'chunked')
        . sprintf "%x\r\n%s\r\n", 100_000, 'x' x 100_000);
    sleep 3;
    ok trickle($client, WeaveTest::Client::chunked(('x' x 100_000) x 40)),
        'a pause between chunks';
    refused($client, 'is taken');

    for my $abort (0, 1) {
        $client = $httpd->client;
        $client->send(head('POST', 'Content-Length' => $size) . 'x' x 1000);
        $client->close($abort);
    }
    is_refusal($httpd->get($PATH), 'others go away, and it goes on', %on);
};

subtest 'LimitRequestBody' => sub {
    my $small = on(conf => "LimitRequestBody 1000\n"
        . "ErrorDocument 413 \"httpd's own words\"\n");
    $small->log->expect(qr/AH01587|AH01588|AH01591|configured limit/);
    for my $size (1001, 70_000, 8 << 20) {
        my $client = $small->client;
        ok trickle($client, head('POST', 'Content-Length' => $size)
            . 'x' x $size), "$size bytes are too many, and can be sent";
        refused($client, 'but maintenance is what is said');
        $client = $small->client;
        ok trickle($client, head('PUT', 'Transfer-Encoding' => 'chunked')
            . WeaveTest::Client::chunked(unpack '(a100000)*', 'x' x $size)),
            'in chunks';
        refused($client, 'nothing else');
    }
};

subtest 'no body at all' => sub {
    $httpd->log->expect(qr/AH0\d+: .*(?:chunk|Error reading)/i);
    my @bad = (
        ['no number',      "zz\r\nabc\r\n0\r\n\r\n"],
        ['a negative one', "-5\r\nabcde\r\n0\r\n\r\n"],
        ['a huge one',     "ffffffffffffffffff\r\nabc\r\n0\r\n\r\n"],
        ['no end of line', "3\r\nabcdefgh\r\n0\r\n\r\n"],
    );
    for my $case (@bad) {
        my ($name, $chunks) = @$case;
        my $client = $httpd->client;
        $client->send(head('POST', 'Transfer-Encoding' => 'chunked')
            . $chunks);
        refused($client, "chunks: $name");
    }
    is $httpd->request('POST', $PATH,
        headers => ['Content-Length' => 'many'])->status, 400,
        'what httpd cannot read is for httpd';
};

# Nothing of a body may be taken for a request.
subtest 'the next request' => sub {
    my $smuggled = "GET /1.1/smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n";
    my $first    = head('POST', 'Content-Length' => length $smuggled);
    my $client   = $httpd->client;
    $client->send("$first$smuggled" . head('GET'));
    refused($client, 'the body of one is no next one');

    $client = $httpd->client;
    $client->send(head('POST', 'Content-Length' => 5, Expect => '100-continue')
        . $smuggled);
    refused($client, 'nor is one that was not waited for');

    my $mixed = paused('', conf => <<'END');
<Location /1.1/on>
    WeaveMaintenance On
</Location>
END
    $client = $mixed->client;
    is $client->request('POST', '/1.1/x?length', body => 'abc')->body, "3\n",
        'a connection';
    is_refusal($client->request('POST', '/1.1/on', body => 'abcd'),
        'that was in use is refused', body => $STORAGE);
    ends_cleanly($client, 'and ends');
};

finish;
