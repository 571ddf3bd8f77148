# SPDX-License-Identifier: Apache-2.0
#
# wsgi.input: PEP 3333, "Input and Error Streams", with an end of input of its
# own (wsgi.input_terminated), so that chunked requests work too.

use strict;
use warnings FATAL => 'all';
use Digest::SHA qw(sha1_hex);
use Test::More;
use Time::HiRes qw(sleep time);
use WeaveTest;

sub decode { return JSON::PP->new->allow_nonref->decode($_[0]->body) }

# below /input/stream, bodies are read as they arrive in worker processes, too
our $where = '/input';

sub post {
    my ($case, @opt) = @_;
    return decode(request('POST', "$where/$case", @opt));
}

my $text = "one\ntwo\n\nlast";

my %expected = (
    read_all       => [$text, '', ''],
    read_minus     => [$text, ''],
    read_none      => [$text, ''],
    read_sizes     => ['', 'o', 'ne', "\ntw", "o\n\nlast", ''],
    read_bytewise  => [split //, $text],
    readline       => ["one\n", "two\n", "\n", 'last', ''],
    readline_sizes => ['on', "e\n", '', 'two', "\n", "\n", 'last', ''],
    readlines      => [["one\n", "two\n", "\n", 'last'], []],
    iterate        => ["one\n", "two\n", "\n", 'last'],
    mixed          => ['on', "e\n", "two\n", "\nlast"],
);

for my $how ('with a length', 'chunked', 'streamed', 'chunked and streamed') {
    subtest $how => sub {
        local $where = '/input/stream' if $how =~ /streamed/;
        my @body = $how =~ /chunked/
            ? (chunked => ["one\nt", 'w', "o\n\nlas", 't'])
            : (body => $text);
        is_deeply post($_, @body), $expected{$_}, $_ for sort keys %expected;
        my $lines = post('readlines_hint', @body);
        cmp_ok scalar @{ $lines->[0] }, '>=', 1, 'readlines(hint): some';
        is_deeply [map { @$_ } @$lines], ["one\n", "two\n", "\n", 'last'],
            'and the rest after it';
    };
}

subtest 'nothing' => sub {
    my @nothing = ([], [body => ''], [chunked => []]);
    for my $body (@nothing) {
        is_deeply post('read_all', @$body), ['', '', ''], 'read';
        is_deeply post('readline', @$body), [''], 'readline';
        is_deeply post('iterate', @$body), [], 'iteration';
    }
    is_deeply decode(get('/input/read_all')), ['', '', ''], 'GET';
};

is_deeply post('bad_arguments', body => 'abc'),
    [('TypeError') x 4, 'abc'], 'wrong arguments raise and read nothing';

subtest 'big' => sub {
    my $big  = join '', map { "line $_ " . 'x' x ($_ % 300) . "\n" } 1 .. 40000;
    my $size = length $big;
    my $sum  = sha1_hex($big);
    my @parts = unpack '(a50000)*', $big;
    for my $case (qw(digest digest_at_once)) {
        is_deeply post($case, body => $big), [$size, $sum], "$case, length";
        is_deeply post($case, chunked => \@parts), [$size, $sum],
            "$case, chunked";
    }
    is_deeply post('digest_lines', body => $big), [40000, $sum], 'by lines';
    my $line = 'y' x 300000;
    is_deeply post('digest_lines', body => $line), [1, sha1_hex($line)],
        'one long line';
};

subtest 'chunked in odd ways' => sub {
    my $client = client();
    $client->send("POST /input/read_all HTTP/1.1\r\nHost: x\r\n"
            . "Transfer-Encoding: chunked\r\nTrailer: X-End\r\n\r\n"
            . "3;ext=1\r\nabc\r\n0003\r\ndef\r\n0\r\nX-End: yes\r\n\r\n");
    is_deeply decode($client->response), ['abcdef', '', ''],
        'extensions and trailers';
    is_deeply decode($client->request('POST', '/input/read_all', body => 'z')),
        ['z', '', ''], 'the connection goes on after them';
};

subtest 'in pieces' => sub {
    my $client = client();
    $client->send("POST /input/read_all HTTP/1.1\r\nHost: x\r\n"
            . "Content-Length: 6\r\n\r\nab");
    for my $piece ('cd', 'ef') {
        sleep 0.15;
        $client->send($piece);
    }
    is_deeply decode($client->response), ['abcdef', '', ''],
        'read() waits for all of it';
};

subtest '100-continue' => sub {
    my $head = "HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n"
        . "Expect: 100-continue\r\n";
    my $client = client();
    $client->send("POST /input/read_all $head\r\n");
    my $res = $client->response;
    is $res->status, 100, 'sent when the application reads';
    $client->send('abc');
    $res = $client->response;
    is_deeply decode($res), ['abc', '', ''], 'then it gets the body';
    is_deeply decode($client->request('POST', '/input/read_all',
            body => 'next')), ['next', '', ''], 'and the connection goes on';

    $client = client();
    $client->send("POST /input/stream/slowly_ignore $head\r\n");
    ok !$client->readable(0.3), 'not sent when it does not';
    $res = $client->response;
    is $res->status, 200, 'the final answer comes instead';
    is $res->body, '"ignored"', 'whole';
    ok $client->readable(30), 'httpd then ends the connection or wants the body';

    $client = client();
    $client->send("POST /input/read_all $head\r\nabc");
    like $client->response(final => 1)->body, qr/abc/,
        'a body that did not wait is read all the same';

    # a worker gets whole bodies: httpd wants this one before it
    $client = client();
    $client->send("POST /input/slowly_ignore $head\r\n");
    is $client->response->status, mode() eq 'processes' ? 100 : 200,
        'with workers, sent for who does not read, too';
};

subtest 'an answer without reading' => sub {
    my $client = client();
    for my $size (10, 70000) {
        my $res = $client->request('POST', '/input/ignore',
            body => 'b' x $size);
        is $res->body, '"ignored"', "$size bytes unread";
        is $client->request('GET', '/hello')->body, 'Hello, world!',
            'are not taken for the next request';
        is $client->request('POST', '/input/some', body => 'abc' x $size)
            ->body, '"abc"', 'partly read';
        is $client->request('GET', '/hello')->body, 'Hello, world!',
            'the same';
        is $client->request('POST', '/input/ignore',
            chunked => ['abc' x $size])->body, '"ignored"', 'chunked';
        is $client->request('GET', '/hello')->body, 'Hello, world!',
            'the same';
    }
};

subtest 'a stream kept beyond its request' => sub {
    post('keep', body => 'abc') for 1 .. 8;
    for (1 .. 8) {
        my $seen = post('use_kept', body => 'secret');
        is_deeply [grep { /secret/ } @$seen], [],
            'never reads another one\'s body';
    }
};

subtest 'an upload that breaks off' => sub {
    my $note   = new_note();
    my $client = client();
    $client->send("POST /input/stream/error HTTP/1.1\r\nHost: x\r\nX-Note: $note\r\n"
            . "Content-Length: 1000\r\n\r\nonly this");
    sleep 0.2;
    $client->close;
    is_deeply [map { /^OSError/ ? 'OSError' : $_ } notes($note, 1)],
        ['OSError'], 'raises an OSError';
    expect_log(qr/AH0\d+/);

    if (mode() eq 'processes') {
        $note   = new_note();
        $client = client();
        $client->send("POST /input/error HTTP/1.1\r\nHost: x\r\n"
                . "X-Note: $note\r\nContent-Length: 1000\r\n\r\nonly this");
        sleep 0.2;
        $client->close;
        sleep 0.2;
        is_deeply [notes($note)], [], 'a worker never hears of it';
    }

    $note   = new_note();
    $client = client();
    $client->send("POST /input/stream/error HTTP/1.1\r\nHost: x\r\nX-Note: $note\r\n"
            . "Transfer-Encoding: chunked\r\n\r\nzzz\r\n");
    my $res = $client->response;
    is $res->status, 400, 'garbage instead of a chunk is a 400';
    unlike join(',', notes($note, 1)), qr/^read/, 'and no end of input';
};

finish;
