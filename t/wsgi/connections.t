# SPDX-License-Identifier: Apache-2.0
#
# Keep-alive, pipelining, HTTP/1.0, and clients that are slow or go away.

use strict;
use warnings FATAL => 'all';
use Test::More;
use Time::HiRes qw(sleep);
use WeaveTest;
use WeaveTest::Client ();

sub ask_for { return WeaveTest::Client::format_request('GET', @_) }

subtest 'keep-alive' => sub {
    my $client = client();
    for my $i (1 .. 50) {
        my $res = $client->request('GET', "/connections/x?$i");
        is $res->body, "$i\n", "answer $i on one connection" or last;
    }
    my $res = client()->request('GET', '/connections/x?a', version => '1.0',
        headers => ['Connection' => 'keep-alive']);
    is $res->body, "a\n", 'HTTP/1.0 with keep-alive';
    is $res->header('Connection'), 'close',
        'which a body of unknown length rules out'
        unless defined $res->header('Content-Length');
};

subtest 'HTTP/1.0' => sub {
    my $client = client();
    $client->send("GET /connections/x?old HTTP/1.0\r\n\r\n");
    my $text = $client->drain;
    like $text, qr{^HTTP/1\.[01] 200 OK\r\n}, 'without a Host';
    like $text, qr/\r\n\r\nold\n\z/, 'and a body without chunks';
};

subtest 'pipelining' => sub {
    my $client = client();
    $client->send(join '', map { ask_for("/connections/x?p$_") } 1 .. 20);
    is $client->response->body, "p$_\n", "answer $_ in its turn" for 1 .. 20;

    $client->send(
        WeaveTest::Client::format_request('POST', '/input/ignore',
            body => 'unread' x 1000)
            . ask_for('/connections/x?after'));
    is $client->response->body, '"ignored"', 'an unread body';
    is $client->response->body, "after\n", 'does not spoil the next request';
};

subtest 'at the same time' => sub {
    my $n       = 4;
    my $at      = root() . '/logs/meet-' . new_note();
    my @clients = map { client() } 1 .. $n;
    mkdir $at or die "$at: $!";
    $_->send(ask_for("/connections/meet?n=$n&at=$at")) for @clients;
    is $_->response->body, "$n\n", 'nobody waited for another' for @clients;
};

subtest 'a client that goes away' => sub {
    for my $kind (qw(endless pausing)) {
        for my $abort (0, 1) {
            my $note   = new_note();
            my $client = client();
            $client->send(ask_for("/connections/$kind", note => $note));
            $client->readable(30);
            $client->close($abort);
            is_deeply [notes($note, 2)], ['started', 'finally'],
                "$kind: the generator is closed"
                . ($abort ? ' after a reset' : '');
        }
    }
    quiet_log('after clients that left');

    my $note   = new_note();
    my $client = client();
    $client->send(ask_for('/connections/x?sleep=0.3', note => $note));
    notes($note, 1);
    $client->close(1);
    sleep 0.5;
    is get('/hello')->body, 'Hello, world!', 'before the answer: no harm';
};

# Such as `nc -N`: it waits for its answer.
subtest 'a client that closes its sending side' => sub {
    for my $request (ask_for('/connections/x?sleep=0.5'),
        WeaveTest::Client::format_request('POST', '/connections/x?sleep=0.5',
            body => 'x' x 100_000)) {
        my $client = client();
        $client->send($request);
        $client->shut_writing;
        my $res = $client->response;
        is $res->body, "sleep=0.5\n", 'gets its answer';
        ok $res->complete, 'and all of it';
    }
    my $client = client();
    $client->send(ask_for('/connections/big'));
    $client->shut_writing;
    is length $client->response->body, 3_000_000, 'also a large one';
};

subtest 'a slow reader' => sub {
    my $client = client();
    $client->send(ask_for('/connections/big'));
    sleep 0.7;
    my $res      = $client->response;
    my $expected = join '', map { sprintf("%09d\n", $_) x 1000 } 0 .. 299;
    ok $res->body eq $expected, 'gets every byte of 3 MB';
    ok $res->complete, 'and its end';
};

subtest 'a slow writer' => sub {
    my $client = client();
    for my $byte (split //, ask_for('/connections/x?slowly')) {
        $client->send($byte);
        sleep 0.005;
    }
    is $client->response->body, "slowly\n", 'byte by byte';
};

subtest 'garbage' => sub {
    for my $bytes ("\0\0\0\r\n\r\n", "GET\r\n\r\n", "GET / HTTP/9.9\r\n\r\n",
        "GET /hello HTTP/1.1\r\n\r\n",
        "GET /hello HTTP/1.1\r\nHost: x\r\nBad Header\r\n\r\n") {
        my $client = client();
        $client->send($bytes);
        $client->shut_writing;
        unlike $client->drain, qr/Hello, world/, 'is httpd\'s business';
    }
};

finish;
