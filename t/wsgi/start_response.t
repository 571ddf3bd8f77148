# SPDX-License-Identifier: Apache-2.0
#
# PEP 3333, "The start_response() Callable" and "The write() Callable".

use strict;
use warnings FATAL => 'all';
use Test::More;
use WeaveTest;

sub ask { return get("/start_response/$_[0]", @_[1 .. $#_]) }

# The application does something wrong before its head is out: a 500 and a
# word in the log, which must match.
sub fails_with {
    my ($case, $want, $name) = @_;
    my $res;
    my $log = logged($want, sub { $res = ask($case) });
    is $res->status, 500, "$name: 500";
    like $log, $want, "$name: the log says why";
    unlike $res->body, qr/never seen|body without/, "$name: no body of it";
    like $res->body, qr/httpd's own words/, "$name: httpd's error page";
}

# ... after its head is out: the answer breaks off.
sub breaks_with {
    my ($case, $want, $name) = @_;
    my $res;
    my $log = logged($want, sub { $res = ask($case) });
    is $res->status, 200, "$name: the head was out";
    ok !$res->complete, "$name: the answer is visibly cut";
    unlike $res->body, qr/never seen/, "$name: nothing after it";
    like $log, $want, "$name: the log says why";
}

is ask('returns_write')->body, 'callable', 'returns the write() callable';
is ask('keywords')->body, 'ok', 'exc_info=None by keyword';

subtest 'called twice' => sub {
    fails_with('twice', qr/:error .*start_response/, 'without exc_info');
    like ask('twice_caught')->body, qr/Error$/,
        'an application can see the error';
};

subtest 'exc_info' => sub {
    my $res = ask('exc_info_before');
    is $res->status, 500, 'before the head is out: a new status';
    is $res->reason, 'Oops', 'and reason';
    is $res->header('X-Second'), 2, 'new headers';
    is $res->header('X-First'), undef, 'instead of the old';
    is $res->body, 'replaced', 'and the body is the application\'s own';
    is ask('exc_info_first')->status, 500, 'allowed in the first call';
    breaks_with('exc_info_after', qr/ValueError: the first error/,
        'after the head is out it is raised again');
    my $note = new_note();
    is ask('exc_info_after_caught', note => $note)->body, 'first,second',
        'where the application can catch it';
    is_deeply [notes($note, 1)], ['raised the first error'], 'as it was';
    fails_with('exc_info_not_a_tuple', qr/:error .*(exc_info|TypeError)/,
        'not a tuple');
};

subtest 'not called' => sub {
    fails_with('never', qr/:error .*start_response/, 'with a body');
    fails_with('never_and_empty', qr/:error .*start_response/,
        'with an empty iterable');
    fails_with('too_late', qr/:error .*start_response/,
        'before the first chunk');
};

subtest 'when' => sub {
    my $res = ask('late');
    is $res->status, 202, 'from within the iterable';
    is $res->body, 'late', 'is in time before the first bytes';
    $res = ask('unsent_until_first_chunk');
    is $res->status, 404, 'an empty chunk does not send the head';
    is $res->reason, 'Changed My Mind', 'so it can be replaced';
};

subtest 'write()' => sub {
    is ask('write')->body, 'one,two,three', 'before the iterable';
    ok ask('write')->complete, 'whole';
    is ask('write_only')->body, 'written', 'alone';
    is ask('write_with_length')->body, 'abcdef', 'within a length';
    fails_with('write_str', qr/TypeError/, 'of a str');
    is ask('write', version => '1.0')->body, 'one,two,three', 'HTTP/1.0';
};

subtest 'kept beyond the request' => sub {
    is ask('write_late')->body, 'kept', 'an application may keep write()';
    for (1 .. 20) {
        my $body = ask('write_kept')->body;
        unlike $body, qr/void/, 'its bytes land nowhere' if $body;
        unlike $body, qr/no error/, 'it raises' if $body;
        ask('write_late');
    }
    my $body = join ',', map { ask('start_kept')->body } 1 .. 40;
    like $body, qr/\w/, 'and start_response';
    unlike $body, qr/no error/, 'which raises as well';
    is ask('returns_write')->body, 'callable', 'nothing broke';
};

subtest 'wrong number of arguments' => sub {
    fails_with('no_arguments', qr/TypeError/, 'none');
    fails_with('many_arguments', qr/TypeError/, 'four');
};

finish;
