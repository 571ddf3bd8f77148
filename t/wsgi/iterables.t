# SPDX-License-Identifier: Apache-2.0
#
# What an application returns: PEP 3333, "Specification Details", "Buffering
# and Streaming" and "Handling the Content-Length Header".

use strict;
use warnings FATAL => 'all';
use Digest::SHA qw(sha1_hex);
use Test::More;
use WeaveTest;

sub ask { return get("/iterables/$_[0]", @_[1 .. $#_]) }

subtest 'of every kind' => sub {
    my %body = (file => "a\nb\nc");
    for my $kind (qw(list list_of_one tuple generator custom getitem file set
        dict bytes_subclass map empty_chunks list_subclass)) {
        my $res = ask($kind);
        is $res->body, $body{$kind} || 'abc', $kind;
        ok $res->complete, "$kind is whole";
    }
};

subtest 'empty' => sub {
    for my $kind (qw(empty_list empty_tuple empty_generator
        only_empty_chunks)) {
        my $res = ask($kind);
        is $res->status, 200, "$kind: the head goes out";
        is $res->body, '', "$kind: without a body";
        ok $res->complete, "$kind: whole";
    }
};

subtest 'Content-Length is found where it can be' => sub {
    is ask('list_of_one')->header('Content-Length'), 3, 'a list of one';
    is ask('empty_list')->header('Content-Length'), 0, 'an empty list';
    my $res;
    logged(qr/Content-Length/, sub { $res = ask('lying_len') });
    is $res->body, 'a', 'PEP 3333 lets a server rely on len()';
    $res = ask('generator');
    is $res->header('Content-Length'), undef, 'not for a generator';
    is $res->header('Transfer-Encoding'), 'chunked', 'which goes in chunks';
    $res = ask('generator', version => '1.0');
    is $res->header('Transfer-Encoding'), undef, 'not in HTTP/1.0';
    is $res->body, 'abc', 'whose body ends with the connection';
};

subtest 'a lot' => sub {
    is ask('many')->body, join('', map { "$_\n" } 0 .. 99999),
        '100,000 chunks';
    is sha1_hex(ask('many_list')->body), sha1_hex('0123456789' x 20000),
        'a list of 20,000';
    my $big = substr join('', map { chr } 0 .. 250) x 20_000, 0, 5_000_000;
    is sha1_hex(ask('big')->body), sha1_hex($big), '5 MB at once';
    my $chunks = join '', map { sprintf('%07d', $_) x 9000 } 0 .. 99;
    is sha1_hex(ask('big_chunks')->body), sha1_hex($chunks), '6 MB in 100';
};

subtest 'close() is called once' => sub {
    my %expected = (
        noted      => ['close after 3'],
        noted_list => ['close after 1'],
        finally    => ['finally'],
    );
    for my $kind (sort keys %expected) {
        my $note = new_note();
        ask($kind, note => $note);
        is_deeply [notes($note, 1)], $expected{$kind}, $kind;
    }
    my $note = new_note();
    my $res  = request('HEAD', '/iterables/head_noted', note => $note);
    is $res->status, 200, 'HEAD';
    like join(',', notes($note, 1)), qr/^close after \d$/, 'closes as well';

    $note = new_note();
    my $log = logged(qr/RuntimeError: close\(\) fails/,
        sub { $res = ask('bad_close', note => $note) });
    is $res->body, 'abc', 'an error in it comes too late for the client';
    like $log, qr/:error .*RuntimeError: close\(\) fails/, 'but is logged';
    logged(qr/SystemExit/, sub { $res = ask('exiting_close') });
    is $res->body, 'abc', 'SystemExit as well';
    logged(qr/TypeError/, sub { $res = ask('close_attribute') });
    is $res->body, 'abc', 'the same where close is no method';
};

# Waits until TEXT has come, and leaves it there.
sub has_come {
    my ($client, $text) = @_;
    while (index($client->{buffer}, $text) < 0) {
        return 0 unless eval { $client->_fill };
    }
    return 1;
}

subtest 'streams are flushed when the application pauses' => sub {
    my $gate   = root() . '/logs/gate-' . new_note() . '-';
    my $client = client();
    $client->send(WeaveTest::Client::format_request(
        'GET', "/iterables/gated?gate=$gate"));
    for my $i (0 .. 2) {
        ok has_come($client, "tick$i\n"), "chunk $i is there before the next";
        spew("$gate$i", '');
    }
    my $res = $client->response;
    is_deeply [$res->chunks], ["tick0\n", "tick1\n", "tick2\n"],
        'one HTTP chunk for each';
};

# Wrong ones.
sub refused {
    my ($kind, $want) = @_;
    my $note = new_note();
    my $res;
    my $log = logged($want, sub { $res = ask($kind, note => $note) });
    is $res->status, 500, "$kind: 500";
    like $log, $want, "$kind: logged";
    return notes($note);
}

subtest 'wrong from the start' => sub {
    refused($_, qr/:error .*(?:bytes|TypeError)/)
        for qw(str bytes list_of_str list_of_int list_of_none);
    refused($_, qr/:error .*(?:itera|TypeError)/) for qw(int none);
    is_deeply [refused('not_iterable', qr/:error .*(?:itera|TypeError)/)],
        ['close'], 'close() is called even so';
    is_deeply [refused('bad_iter', qr/RuntimeError: __iter__ fails/)],
        ['close'], 'or where __iter__ fails';
};

sub breaks {
    my ($kind, $want, %opt) = @_;
    my $note = new_note();
    my $res;
    my $log = logged($want, sub { $res = ask($kind, note => $note, %opt) });
    is $res->status, 200, "$kind: the head was out";
    ok !$res->complete, "$kind: visibly cut";
    like $log, $want, "$kind: logged";
    is_deeply [notes($note, 1)], ['close after 2'], "$kind: closed once";
}

subtest 'exceptions' => sub {
    is_deeply [refused('raise_at_once', qr/ValueError: at once/)],
        ['close after 0'], 'before the first chunk: 500, closed';
    breaks('raise_later', qr/ValueError: later/);
    is_deeply [refused('exit_at_once', qr/SystemExit/)], ['close after 0'],
        'SystemExit';
    breaks('exit_later', qr/SystemExit/);
    breaks('interrupt_later', qr/KeyboardInterrupt/);
    breaks('str_in_the_middle', qr/:error .*(?:bytes|TypeError)/);
};

subtest 'and with a Content-Length' => sub {
    my $res;
    my $log = logged(qr/ValueError: later/,
        sub { $res = ask('raise_later?length=150') });
    is $res->header('Content-Length'), 150, 'it was promised';
    ok !$res->complete, 'visibly cut';
};

is ask('list')->body, 'abc', 'nothing broke';
finish;
