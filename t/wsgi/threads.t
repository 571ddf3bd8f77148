# SPDX-License-Identifier: Apache-2.0
#
# wsgi.input, write() and wsgi.errors in threads of the application, in time
# and too late: whatever happens there, the server lives and nobody gets bytes
# that are not his.

use strict;
use warnings FATAL => 'all';
use Test::More;
use Time::HiRes qw(sleep);
use WeaveTest;

sub ask { return request('POST', "/threads/$_[0]", @_[1 .. $#_]) }

is ask('read_in_thread', body => 'abc')->body, 'abc', 'reading in a thread';
my $bytes = join '', map { chr(97 + $_ % 26) } 0 .. 4999;
is ask('read_in_many', body => $bytes)->body, join('', sort split //, $bytes),
    'in several at once';
is ask('write_in_thread', body => '')->body,
    'from a thread,from the request', 'write() in a thread';

subtest 'a thread that is left behind' => sub {
    for my $round (1 .. 10) {
        for my $case (qw(read_and_leave lines_and_leave)) {
            my $client = client();
            $client->send("POST /threads/$case HTTP/1.1\r\nHost: x\r\n"
                    . "Content-Length: 10\r\n\r\nabc\n");
            my $ready = $client->readable(0.3);
            $client->send("defghi");
            my $res = $client->response;
            is $res->body, 'left', "$case: the answer comes";
            # whatever of the body was not read does not become a request
            my $next = eval { $client->request('GET', '/hello') };
            is $next->body, 'Hello, world!', 'the connection goes on'
                if $next && $next->head ne '';
        }
        my $res = ask('write_and_leave', body => '');
        like $res->body, qr/^x*leftx*$/, 'write_and_leave';
        is ask('log_and_leave', body => '')->body, 'left', 'log_and_leave';
        for (1 .. 20) {
            my $body = get('/hello')->body;
            is $body, 'Hello, world!', 'no other answer has bytes of it'
                or last;
        }
    }
    sleep 0.3;
};

expect_log(qr/late line \d+/);
is get('/hello')->body, 'Hello, world!', 'the server is none the worse';
finish;
