# SPDX-License-Identifier: Apache-2.0
#
# C extensions behave: it is the main interpreter they are in.

use strict;
use warnings FATAL => 'all';
use Test::More;
use WeaveTest;

for my $name (qw(ssl decimal json sqlite3 hashlib zlib ctypes threading
    multiprocessing concurrent-futures subprocess asyncio signal
    bcrypt argon2 sqlalchemy)) {
    SKIP: {
        my $res = get("/extensions/$name");
        skip $res->body, 1 if $res->status == 501;
        is $res->body, 'True', $name;
    }
}

expect_log(qr/signal\.signal\(.*no effect/);

subtest 'in many threads at once' => sub {
    my @clients = map { client() } 1 .. 8;
    for my $round (1 .. 5) {
        $_->send(WeaveTest::Client::format_request(
            'GET', '/extensions/sqlite3')) for @clients;
        is $_->response->body, 'True', "round $round" for @clients;
    }
};

finish;
