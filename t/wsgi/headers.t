# SPDX-License-Identifier: Apache-2.0
#
# What an application may put into the head of its answer. Everything wrong is
# a 500 with the reason in the log, and no byte of it in the answer.

use strict;
use warnings FATAL => 'all';
use Test::More;
use WeaveTest;

sub ask { return get("/headers/$_[0]") }

sub refused {
    my ($what, @want) = @_;
    my $want = $want[0] || qr/:error /;
    my $res;
    my $log = logged($want, sub { $res = ask($what) });
    is $res->status, 500, "$what is refused";
    unlike $res->head . $res->body, qr/X-Injected|X-Test|^body/m,
        "$what: nothing of it goes out";
    like $log, $want, "$what: logged";
}

subtest 'status lines that are right' => sub {
    my %line = (
        ok         => '200 OK',
        own_code   => '299 Own Words',
        own_reason => '404 Gone Fishing',
    );
    for my $name (sort keys %line) {
        my $res = ask("status/$name");
        is $res->status . ' ' . $res->reason, $line{$name}, $name;
        is $res->body, 'body', "$name: with its own body";
    }
    is ask('status/latin1')->status, 200, 'Latin-1 is allowed';
};

subtest 'status lines that are wrong' => sub {
    refused("status/$_", qr/:error .*status|TypeError/i)
        for qw(three_digits no_number two_digits four_digits no_space
        informational leading_space trailing_space cr lf crlf nul
        not_latin1 bytes int none empty);
};

subtest 'headers that are right' => sub {
    is ask('headers/ok')->header('X-Test'), 'value', 'ordinary';
    is ask('headers/empty_value')->header('X-Test'), '', 'an empty value';
    is ask('headers/latin1')->header('X-Test'), "caf\xe9", 'Latin-1';
    is ask('headers/tab_inside')->header('X-Test'), "a\tb", 'a tab inside';
    is ask('headers/colon_inside')->header('X-Test'), 'a: b', 'a colon';
    like ask('headers/lower')->head, qr/^x-test: low$/m,
        'names keep their case';
    is_deeply [ask('headers/twice')->header('X-Test')], [qw(b a c)],
        'repeated, in order';
    is_deeply [ask('headers/cookies')->header('Set-Cookie')],
        ['a=1; Path=/', 'b=2'], 'Set-Cookie is never joined';
    is ask('headers/many')->header('X-Many-199'), 'v199', '200 headers';
    is length ask('headers/long')->header('X-Test'), 20000, 'a long one';
    is_deeply [ask('headers/type_twice')->header('Content-Type')],
        ['text/html'], 'Content-Type is the application\'s, once';
    my $res = ask('headers/location');
    is $res->status, 200, 'a Location changes no status';
    is $res->header('Location'), '/elsewhere', 'and is left alone';
    is ask('headers/status_header')->status, 200,
        'this is not CGI: Status: is no status';
};

subtest 'names that are wrong' => sub {
    refused("headers/name_$_")
        for qw(bytes int empty space trailing_space colon crlf latin1 nul);
};

subtest 'values that are wrong' => sub {
    refused("headers/value_$_")
        for qw(bytes int none lf cr crlf fold nul control not_latin1);
};

subtest 'hop-by-hop headers (PEP 3333, "Other HTTP Features")' => sub {
    refused("headers/hop_$_")
        for qw(connection keep_alive transfer_encoding te trailer upgrade);
};

subtest 'Content-Length' => sub {
    refused("headers/length_$_", qr/:error .*Content-Length/i)
        for qw(text negative plus huge twice);
};

subtest 'lists that are none' => sub {
    refused("headers/$_") for qw(dict none triple single not_a_pair);
};

is get('/hello')->body, 'Hello, world!', 'the server is none the worse';
finish;
