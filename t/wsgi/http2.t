# SPDX-License-Identifier: Apache-2.0
#
# HTTP/2: mod_http2 runs requests on threads of its own, which come and go.

use strict;
use warnings FATAL => 'all';
use Digest::SHA qw(sha1_hex);
use Test::More;
use WeaveTest;
use WeaveTest::H2 ();

plan skip_all => 'prefork: mod_http2 serves one stream at a time, if at all'
    if mpm() eq 'prefork';

sub h2 { return WeaveTest::H2->new(port => port('h2')) }

my $h2 = h2();
my $res = $h2->request('GET', '/hello');
plan skip_all => 'no mod_http2 here' unless $res->{status};
is $res->{status}, 200, 'an answer';
is $res->{body}, 'Hello, world!', 'and its body';

subtest 'the environ' => sub {
    my $env = JSON::PP->new->decode($h2->request('GET', '/environ?a',
        headers => ['x-test' => '1', cookie => 'a=1', cookie => 'b=2'])
        ->{body});
    is $env->{SERVER_PROTOCOL}, 'HTTP/2.0', 'SERVER_PROTOCOL';
    is $env->{HTTP_HOST}, 'localhost', 'HTTP_HOST from :authority';
    is $env->{HTTP_X_TEST}, 1, 'headers';
    like $env->{HTTP_COOKIE}, qr/^a=1; ?b=2$/,
        'cookie crumbs are joined (RFC 9113, section 8.2.3)';
    is $env->{REQUEST_URI}, '/environ?a', 'REQUEST_URI';
    is_deeply $env->{odd}, [], 'native strings';
};

subtest 'bodies' => sub {
    my $body = join '', map { sprintf "%07d\n", $_ } 1 .. 6000;
    $res = $h2->request('POST', '/input/digest', body => $body);
    is $res->{body}, sprintf('[%d, "%s"]', length $body, sha1_hex($body)),
        'an upload without Content-Length';
    $res = $h2->request('POST', '/input/ignore', body => 'x' x 100);
    is $res->{body}, '"ignored"', 'unread';
    $res = $h2->request('GET', '/iterables/many');
    is length $res->{body}, 588890, 'a stream';
    $res = $h2->request('HEAD', '/hello');
    is $res->{status}, 200, 'HEAD';
    is $res->{body}, '', 'has no body';
};

subtest 'many streams at once' => sub {
    my @ids = map { $h2->start('GET', "/connections/x?sleep=0.1&n=$_") }
        1 .. 30;
    is $h2->response($ids[$_ - 1])->{body}, "sleep=0.1&n=$_\n", "stream $_"
        for 1 .. 30;
};

subtest 'an answer that breaks off' => sub {
    my $log = logged(qr/ValueError: later/, sub {
        $res = $h2->request('GET', '/iterables/raise_later');
    });
    ok !$res->{complete}, 'is a reset, not an end';
    is h2()->request('GET', '/hello')->{status}, 200, 'others go on';
    expect_log(qr/AH03/);
};

subtest 'a stream that the client gives up' => sub {
    for my $kind (qw(endless pausing)) {
        my $note = new_note();
        my $own  = h2();
        my $id   = $own->start('GET', "/connections/$kind", note => $note);
        $own->wait_for_body($id);
        $own->reset_stream($id);
        is_deeply [notes($note, 2)], ['started', 'finally'],
            "$kind: the generator is closed";
        is $own->request('GET', '/hello')->{body}, 'Hello, world!',
            "$kind: the connection goes on";
    }
    my $note = new_note();
    my $own  = h2();
    $own->wait_for_body($own->start('GET', '/connections/endless',
        note => $note));
    $own->close(1);
    is_deeply [notes($note, 2)], ['started', 'finally'],
        'and so is one whose connection went away';
    quiet_log('after that');
};

finish;
