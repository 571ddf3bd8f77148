# SPDX-License-Identifier: Apache-2.0
#
# wsgi.file_wrapper: PEP 3333, "Optional Platform-Specific File Handling".

use strict;
use warnings FATAL => 'all';
use Test::More;
use WeaveTest;

my $big = join '', map { sprintf "%07d\n", $_ } 0 .. 399_999;
spew(root() . '/htdocs/big.bin', $big);
my $size = length $big;

sub ask { return get("/file_wrapper/$_[0]", @_[1 .. $#_]) }

# Does not flood the terminal with megabytes when they differ.
sub body_is {
    my ($res, $expected, $name) = @_;
    ok $res->body eq $expected, "$name: byte for byte"
        or diag 'got ' . length($res->body) . ' of ' . length($expected);
    ok $res->complete, "$name: whole";
}

subtest 'a file' => sub {
    my $res = ask('regular');
    body_is $res, $big, 'from its beginning';
    is $res->header('Content-Length'), $size, 'with its length';
    body_is ask('block_size'), $big, 'with a block size';
    $res = ask('offset');
    body_is $res, substr($big, 100000), 'from where it stands';
    is $res->header('Content-Length'), $size - 100000, 'with what is left';
    body_is ask('offset?at=' . ($size - 1)), "\n", 'the last byte';
    body_is ask('buffered'), substr($big, 10), 'after a buffered read';
    body_is ask('empty_file'), '', 'at its end';
    body_is ask('regular', version => '1.0'), $big, 'HTTP/1.0';
    body_is ask('regular', site => 'tls', tls => 1), $big, 'over TLS'
        if eval { require IO::Socket::SSL };
};

subtest 'a part of it' => sub {
    my $res = ask('regular?length=1000');
    is $res->header('Content-Length'), 1000, 'Content-Length is kept';
    body_is $res, substr($big, 0, 1000), 'and obeyed';
    body_is ask('offset?at=50&length=100'), substr($big, 50, 100),
        'with an offset';
    my $log = logged(undef, sub {
        $res = ask('regular?length=' . ($size + 10));
    });
    is $res->status, 502, 'a file that is too short is a 502';
    $res = request('HEAD', '/file_wrapper/regular');
    is $res->status, 200, 'HEAD';
    is $res->header('Content-Length'), $size, 'has the length';
};

subtest 'what is no file' => sub {
    body_is ask('bytes_io'), 'from memory ' x 1000, 'BytesIO';
    body_is ask('no_close'), 'cannot be closed', 'without close()';
    body_is ask('pipe'), 'through a pipe', 'a pipe';
    body_is ask('empty'), '', 'a device';
    body_is ask('lying_fileno'), 'not descriptor 0',
        'one whose fileno() is not its own';
    body_is ask('two'), 'the second', 'only what is returned';
    body_is ask('beyond'), '', 'beyond the end of a file';
    like ask('odd_arguments')->body, qr/TypeError/, 'odd arguments';
};

# They were sent as their descriptors alone would have them.
subtest 'what its descriptor does not tell' => sub {
    body_is ask('unflushed'), ' NEW content', 'what stands in the buffer';
    body_is ask('unflushed_raw'), 'only in the buffer', 'and nowhere else';
    body_is ask('proc'), slurp('/proc/version'),
        'a file of /proc, whose size is 0';
    for my $case (qw(gives_none gives_number)) {
        my $res;
        my $log = logged(qr/TypeError/, sub { $res = ask($case) });
        is $res->status, 500, "read() $case: 500";
        like $log, qr/^weave:error .*TypeError: /m, 'the log says why';
        unlike $log, qr/SystemError/, 'and it is no SystemError of C code';
    }
};

subtest 'it is an iterable like any other' => sub {
    body_is ask('iterated'), $big, 'the application iterates it';
    body_is ask('middleware'), 'LOWER', 'or a middleware';
    my $res = ask('partly_iterated');
    body_is $res, substr($big, 1000), 'and gives the rest back';
};

subtest 'the file is closed once' => sub {
    for my $case (qw(noting noting_file noting_file?length=10)) {
        my $note = new_note();
        my $res = ask($case, note => $note);
        is_deeply [notes($note, 1)], ['close'], $case;
    }
    my $note = new_note();
    request('HEAD', '/file_wrapper/noting_file', note => $note);
    is_deeply [notes($note, 1)], ['close'], 'after HEAD';
    $note = new_note();
    my $client = client();
    $client->send(WeaveTest::Client::format_request(
        'GET', '/file_wrapper/noting_file', note => $note));
    $client->readable(30);
    $client->close(1);
    is_deeply [notes($note, 1)], ['close'], 'after a client that left';
};

subtest 'errors' => sub {
    my $note = new_note();
    my $res;
    my $log = logged(qr/OSError: the disk is gone/,
        sub { $res = ask('failing', note => $note) });
    ok !$res->complete, 'a read that fails cuts the answer';
    like $log, qr/OSError: the disk is gone/, 'and is logged';
    is_deeply [notes($note, 1)], ['close'], 'closed';
    $log = logged(qr/:error .*(?:bytes|TypeError)/,
        sub { $res = ask('text') });
    is $res->status, 500, 'text is an error';
    like $log, qr/:error .*(?:bytes|TypeError)/, 'logged';
    $log = logged(qr/ValueError/, sub { $res = ask('closed') });
    is $res->status, 500, 'a closed file too';
    $log = logged(qr/:error .*(?:read|TypeError)/, sub { $res = ask('no_read') });
    is $res->status, 500, 'and what cannot be read';
};

finish;
