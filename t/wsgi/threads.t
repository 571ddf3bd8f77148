# SPDX-License-Identifier: Apache-2.0
#
# wsgi.input, write() and wsgi.errors in threads of the application, in time
# and too late: whatever happens there, the server lives and nobody gets bytes
# that are not his.

use strict;
use warnings FATAL => 'all';
use Test::More;
use WeaveTest;

sub ask { return request('POST', "/threads/$_[0]", @_[1 .. $#_]) }

is ask('read_in_thread', body => 'abc')->body, 'abc', 'reading in a thread';
my $bytes = join '', map { chr(97 + $_ % 26) } 0 .. 4999;
is ask('read_in_many', body => $bytes)->body, join('', sort split //, $bytes),
    'in several at once';
is ask('write_in_thread', body => '')->body,
    'from a thread,from the request', 'write() in a thread';

# The thread waits for the body when the application returns; the rest of the
# body comes afterwards. Worker processes get whole bodies.
sub left_behind {
    my $case   = shift;
    my $client = client(undef);
    $client->send("POST /threads/$case HTTP/1.1\r\nHost: x\r\n"
            . "Content-Length: 10\r\n\r\nabc\n");
    $client->readable(0.3) if mode() eq 'embedded';
    $client->send('defghi');
    my $res = eval { $client->response };
    is $res && $res->body, 'left', "$case: the answer comes" or return 0;
    my $next = eval { $client->request('GET', '/hello') };
    return 1 unless $next && $next->head ne '';
    return is $next->body, 'Hello, world!', "$case: the connection goes on";
}

subtest 'a thread that is left behind' => sub {
    my $note = new_note();
    for my $round (1 .. 5) {
        left_behind($_) or return for qw(read_and_leave lines_and_leave);
        like ask('write_and_leave', body => '')->body, qr/^x*leftx*$/,
            'write_and_leave: a whole answer' or return;
        is ask('log_and_leave', body => '', note => $note)->body, 'left',
            'log_and_leave' or return;
        for (1 .. 20) {
            is get('/hello')->body, 'Hello, world!',
                'no other answer has bytes of it' or return;
        }
    }
    is scalar(notes($note, 5)), 5, 'its threads come to their end';
};

expect_log(qr/late line \d+/);
is get('/hello')->body, 'Hello, world!', 'the server is none the worse';
finish;
