# SPDX-License-Identifier: Apache-2.0
#
# Bodies whose length nobody has announced, or which a filter of httpd changes:
# what is said of them is true of what the application reads. Django found an
# empty form, bottle said 400, and an inflated body stood beside the length of
# the compressed one.

use strict;
use warnings FATAL => 'all';
use Compress::Zlib ();
use Digest::MD5 qw(md5_base64);
use Digest::SHA qw(sha1_hex);
use Test::More;
use Time::HiRes qw(sleep);
use WeaveTest;
use WeaveTest::H2 ();

my $small = join '', map { "line $_\n" } 1 .. 50;
my $large = join '', map { sprintf "%07d\n", $_ * 7919 % 10_000_000 } 1 .. 40_000;

sub decode { return JSON::PP->new->decode($_[0]->body) }

sub parts { return [unpack '(a9999)*', $_[0]] }

# Is BODY what was read, with LENGTH beside it, and no header of what httpd has
# undone? MORE: what else is there.
sub is_body {
    my ($seen, $body, $length, $name, %more) = @_;
    my %expected = (
        size => length $body,
        sha1 => sha1_hex($body),
        'wsgi.input_terminated' => JSON::PP::true,
        (defined $length ? (CONTENT_LENGTH => $length) : ()),
        %more,
    );
    return is_deeply $seen, \%expected, $name;
}

sub post {
    my ($at, @opt) = @_;
    my $res = request('POST', "/bodies/$at", @opt);
    return $res->status == 200 ? decode($res) : $res->status;
}

my @bodies = (['a small one', $small], ['one in a file', $large]);

subtest 'with a length' => sub {
    for my $case (@bodies) {
        my ($name, $body) = @$case;
        is_body(post($_, body => $body), $body, length $body, "$name, $_")
            for qw(all stream);
    }
    is_body(post('all', body => ''), '', 0, 'an empty one');
    is_body(decode(get('/bodies')), '', undef, 'none');
};

subtest 'chunked' => sub {
    for my $case (@bodies) {
        my ($name, $body) = @$case;
        my @chunked = (chunked => parts($body));
        is_body(post('all', @chunked), $body, length $body, $name);
        is_body(post('stream', @chunked), $body, undef, "$name, streamed");
    }
    for my $size (65_535 .. 65_537) {
        my $body = substr $large, 0, $size;
        is_body(post('all', chunked => parts($body)), $body, $size,
            "$size bytes");
    }
    is_body(post('all', chunked => []), '', 0, 'an empty one');
    is_body(decode(request('GET', '/bodies', chunked => ['abc'])), 'abc', 3,
        'with GET');
};

subtest 'chunked, with all the rest' => sub {
    my $client = client();
    for my $at ('all', 'stream') {
        $client->send("POST /bodies/$at HTTP/1.1\r\nHost: x\r\nTE: trailers\r\n"
                . "Transfer-Encoding: chunked\r\nTrailer: X-End\r\n\r\n"
                . "3;ext=1\r\nabc\r\n0003\r\ndef\r\n0\r\nX-End: yes\r\n\r\n");
        is_body(decode($client->response), 'abcdef',
            $at eq 'all' ? 6 : undef, "extensions and trailers, $at",
            HTTP_TE => 'trailers');
    }
    for my $at ('all', 'stream') {
        my $note   = new_note();
        my $coded  = client();
        $coded->send("POST /bodies/$at HTTP/1.1\r\nHost: x\r\nX-Note: $note\r\n"
                . "Transfer-Encoding: gzip, chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n");
        is $coded->response->status, 501,
            "a coding that nobody undoes, $at (RFC 9112 section 6.1)";
        is_deeply [notes($note)], [], 'the application is not asked';
    }
    # RFC 9112 section 6.3: the length does not count, the connection ends
    $client->send("POST /bodies HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n"
            . "Transfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n0\r\n\r\n"
            . "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n");
    my $res = $client->response;
    is_body(decode($res), 'abcde', 5, 'both lengths') if $res->status == 200;
    like $res->status, qr/^(?:200|400)$/, 'both lengths: nobody is deceived';
    is $client->drain, '', 'and nothing comes behind it';
};

subtest '100-continue' => sub {
    my $head = "HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n"
        . "Expect: 100-continue\r\n\r\n";
    for my $at ('all', 'stream') {
        my $client = client();
        $client->send("POST /bodies/$at $head");
        is $client->response->status, 100, "$at: the client is to go on";
        $client->send("3\r\nabc\r\n0\r\n\r\n");
        is_body(decode($client->response), 'abc', $at eq 'all' ? 3 : undef,
            'then it gets the body');
    }
};

subtest 'inflated' => sub {
    for my $case (@bodies) {
        my ($name, $body) = @$case;
        my $gzip = Compress::Zlib::memGzip($body);
        my @headers = (headers => ['Content-Encoding' => 'gzip',
            'Content-MD5' => md5_base64($gzip)]);
        for my $how (['with a length', body => $gzip],
            ['chunked', chunked => parts($gzip)]) {
            my ($kind, @sent) = @$how;
            is_body(post('inflated', @sent, @headers), $body, length $body,
                "$name, $kind");
            is_body(post('stream/inflated', @sent, @headers), $body, undef,
                "$name, $kind, streamed");
        }
    }
    is_body(post('inflated', body => $large), $large, length $large,
        'one that was not compressed');
    is_body(post('stream/inflated', body => $large), $large, undef,
        'the same, streamed');
    is_body(post('stream/inflated', body => Compress::Zlib::memGzip($small),
            headers => ['Content-Encoding' => 'br, gzip']),
        $small, undef, 'of two codings the other one is left',
        HTTP_CONTENT_ENCODING => 'br');
    is_body(post('all', body => $small,
            headers => ['Content-Encoding' => 'gzip']),
        $small, length $small, 'without a filter it is what was sent',
        HTTP_CONTENT_ENCODING => 'gzip');
};

subtest 'too much when inflated' => sub {
    expect_log(qr/AH0\d+/);
    my $gzip = Compress::Zlib::memGzip(substr $large, 0, 200_000);
    is post("$_/limited", body => $gzip,
        headers => ['Content-Encoding' => 'gzip']), 413, $_
        for 'inflated', 'stream/inflated';
    is post('all/limited', chunked => parts('x' x 200_000)), 413, 'chunked';
};

subtest 'bodies that break' => sub {
    my $head = "HTTP/1.1\r\nHost: x\r\nX-Note: NOTE\r\n";
    my $gzip = Compress::Zlib::memGzip($large);
    substr $gzip, length($gzip) / 2, 9, 'x' x 9;
    my %broken = (
        'garbage instead of a chunk' => "POST /bodies $head"
            . "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nzzz\r\n",
        'the same in a file' => "POST /bodies $head"
            . "Transfer-Encoding: chunked\r\n\r\n186a0\r\n" . 'x' x 100_000
            . "\r\nzzz\r\n",
        'garbage instead of gzip' => "POST /bodies/inflated $head"
            . "Content-Encoding: gzip\r\nContent-Length: " . length($gzip)
            . "\r\n\r\n$gzip",
    );
    for my $name (sort keys %broken) {
        my $note = new_note();
        (my $bytes = $broken{$name}) =~ s/NOTE/$note/;
        my $client = client();
        $client->send($bytes);
        is $client->response->status, 400, "$name: 400";
        is $client->drain, '', 'the connection ends';
        is_deeply [notes($note)], [], 'and the application is not asked';
    }
    my $note = new_note();
    (my $bytes = $broken{'the same in a file'}) =~ s/NOTE/$note/;
    my $client = client();
    $client->send(substr $bytes, 0, 90_000);
    sleep 0.2;
    $client->close;
    sleep 0.2;
    is_deeply [notes($note)], [], 'nor where the client leaves';
};

# The body is gone, but its headers were there.
subtest 'pages for errors' => sub {
    for my $how (['too large', body => 'x' x 2000],
        ['too large, in chunks', chunked => ['x' x 2000]]) {
        my ($name, @body) = @$how;
        is_body(decode(request('POST', '/bodies/shown', @body)), '', 0, $name);
    }
    my $client = client();
    $client->send("POST /bodies/shown HTTP/1.1\r\nHost: x\r\n"
            . "Transfer-Encoding: chunked\r\n\r\nzzz\r\n");
    is_body(decode($client->response), '', 0, 'broken chunks');
};

SKIP: {
    skip 'no HTTP/2 on prefork', 1 if mpm() eq 'prefork';
    subtest 'HTTP/2' => sub {
        my $h2 = WeaveTest::H2->new(port => port('h2'));
        my $json = JSON::PP->new;
        my $res = $h2->request('GET', '/bodies');
        plan skip_all => 'no mod_http2 here' unless $res->{status};
        is_body($json->decode($res->{body}), '', undef, 'GET');
        for my $at ('all', 'stream') {
            for my $body ($small, $large) {
                my $size = length $body;
                my $id = $h2->start('POST', "/bodies/$at", open => 1);
                $h2->upload($id, $body, 1);
                is_body($json->decode($h2->response($id)->{body}), $body,
                    $at eq 'all' ? $size : undef, "$size bytes, $at");
                $id = $h2->start('POST', "/bodies/$at", open => 1,
                    headers => ['content-length' => $size]);
                $h2->upload($id, $body, 1);
                is_body($json->decode($h2->response($id)->{body}), $body,
                    $size, 'with a length');
            }
        }
    };
}

is get('/hello')->body, 'Hello, world!', 'others are served';
finish;
