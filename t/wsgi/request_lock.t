# SPDX-License-Identifier: Apache-2.0
#
# One at a time with the host, and nobody after the end of the answer. Each
# subtest names what went wrong before.

use strict;
use warnings FATAL => 'all';
use Test::More;
use WeaveTest;
use WeaveTest::Client ();

sub ask { return request('POST', "/request_lock/$_[0]", @_[1 .. $#_]) }

# write() in close() went to the wire behind the end of the answer, where the
# client took it for the answer to its next request.
subtest 'close() that calls write()' => sub {
    for my $case (qw(close_writes file_close_writes)) {
        my $note   = new_note();
        my $client = client();
        $client->send(
            WeaveTest::Client::format_request('GET', "/request_lock/$case",
                note => $note)
            . WeaveTest::Client::format_request('GET', '/hello', close => 1));
        my $res = $client->response;
        ok $res->complete, "$case: a whole answer";
        is $client->response->body, 'Hello, world!',
            'then the answer to the next request';
        is $client->drain, '', 'and nothing else';
        is_deeply [notes($note, 1)], ['RuntimeError'],
            'the application is told';
    }
};

# The threads read into, and took from, one brigade: bytes came twice or never,
# or the child crashed.
subtest 'reading together' => sub {
    my $line = join('', 0 .. 9) x 30 . "\n";
    my @body = ($line x 30) x 40;
    my $want = sprintf '%d %d', 1200 * length $line, 1200 * 30;
    is ask('read_together', chunked => \@body)->body, $want, 'chunked';
    is ask('read_together', body => join '', @body)->body, $want,
        'with a length';
};

subtest 'writing together' => sub {
    my @lines = split /\n/, ask('write_together', body => '')->body;
    my %count;
    $count{$_}++ for @lines;
    is_deeply \%count, {end => 1, map { ($_ x 99 => 100) } 0 .. 7},
        'every chunk comes once, and whole';
};

# A thread that waited for the body when its request ended read from memory
# that was not there any more.
subtest 'beyond the end of the request' => sub {
    my $note   = new_note();
    my $client = client();
    $client->send("POST /request_lock/use_after HTTP/1.1\r\nHost: x\r\n"
            . "X-Note: $note\r\nContent-Length: 10\r\n\r\nabcd");
    # worker processes get whole bodies
    $client->readable(1) if mode() eq 'embedded';
    $client->send('efghij');
    is $client->response->body, 'left', 'the answer comes';
    my $ended = 'was used after its request had ended';
    is_deeply [notes($note, 5)], ['read 10',
        (map { "$_: wsgi.input $ended" } qw(read readline next)),
        "write: write() $ended"], 'the thread got its bytes, and no more';
    is $client->request('GET', '/hello')->body, 'Hello, world!',
        'the connection goes on';
};

is get('/hello')->body, 'Hello, world!', 'the server is none the worse';
finish;
