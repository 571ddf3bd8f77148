# SPDX-License-Identifier: Apache-2.0
#
# What applications write and log lands in the error log of the virtual host
# that served the request: whole lines, in UTF-8, with their level.

use strict;
use warnings FATAL => 'all';
use Test::More;
use WeaveTest;
use WeaveTest::Client ();

# httpd writes bytes above 127 as \xNN; compare what they mean.
sub unescape {
    my $text = shift;
    $text =~ s/\\x([0-9a-f]{2})/chr hex $1/ge;
    return $text;
}

# The log lines of one request that have text of the application.
sub lines_of {
    my ($case, $want, @opt) = @_;
    my $log = logged($want, sub {
        is get("/errors/$case", @opt)->body, 'ok', "$case: served";
    });
    return map { unescape($_) } split /\n/, $log;
}

sub has_line {
    my ($case, $text, $name) = @_;
    my $shown = $text =~ s/([\x80-\xff])/sprintf '\\x%02x', ord $1/ger;
    my @lines = lines_of($case, qr/\Q$text\E|\Q$shown\E/);
    my @found = grep { /(?:^|[: ])\Q$text\E$/ } @lines;
    is scalar @found, 1, $name || "$case: once"
        or diag join "\n", @lines;
    return $found[0] || '';
}

subtest 'wsgi.errors' => sub {
    has_line('write', 'to wsgi.errors');
    has_line('writelines', $_) for 'line 1', 'line 2', 'line 3';
    has_line('pieces', 'in many pieces', 'pieces make one line');
    has_line('partial', 'no newline', 'flushed at the end of the request');
    my @lines = lines_of('flush', qr/after it/);
    is scalar(grep { /before the flush/ } @lines), 1, 'flush()';
    has_line('empty_lines', 'below', 'empty lines do no harm');
    has_line('wrong_type', 'TypeError as it should', 'bytes are refused');
    has_line('print_to', 'by print');
    has_line('stream_handler', 'by a handler of its own');
};

subtest 'print and sys.stderr' => sub {
    has_line('printed', 'to stdout in two parts');
    has_line('printed_stderr', 'to stderr');
    has_line('printed_partial', 'stdout without newline');
};

subtest 'logging' => sub {
    my @lines = lines_of('levels', qr/a critical line/);
    my %level = (
        debug   => 'debug',
        info    => 'info',
        warning => 'warn',
        error   => 'error',
        critical => 'crit',
    );
    for my $name (sort keys %level) {
        my @found = grep { /an? $name line/ } @lines;
        is scalar @found, 1, "$name: one line";
        like $found[0] || '', qr/^weave:$level{$name} /, "$name: at its level";
    }
    @lines = lines_of('logged_exception', qr/ValueError: invalid/);
    is scalar(grep { /weave:error .*caught it/ } @lines), 1, 'exception()';
    is scalar(grep { /Traceback/ } @lines), 1, 'with its traceback';
    @lines = lines_of('logged_lines', qr/second/);
    is scalar(grep { /weave:error/ } @lines), 2,
        'lines of one record keep its level';
    lines_of('warned', qr/a Python warning/);
};

subtest 'text' => sub {
    has_line('utf8', "caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80", 'UTF-8');
    my @lines = lines_of('surrogate', qr/half/);
    like join("\n", @lines), qr/half .* done/, 'half a character: no error';
    my $log = logged(qr/red/, sub { get('/errors/control') });
    like $log, qr/nul .* then .* red .* end/, 'NUL and others lose nothing';
    unlike $log, qr/[\0\x1b\r]/, 'and do nothing to a terminal';
    @lines = lines_of('long', qr/END/);
    my $all = join '', map { s/^weave:\w+ (?:WEAVE\d+: )?//r } @lines;
    is scalar(() = $all =~ /\xe2\x82\xac/g), 7000,
        '20 KB in one line: no byte is lost, no character split';
    ok $all =~ /BEGIN.*END/, 'in order' or diag substr $all, 0, 500;
};

subtest 'the virtual host and the request' => sub {
    my $before = -s root() . '/logs/other_log' || 0;
    lines_of('write', qr/to wsgi\.errors/, site => 'other');
    my $other = substr slurp(root() . '/logs/other_log'), $before;
    like $other, qr/to wsgi\.errors/, 'the log of the virtual host';
    like $other, qr/\[id [^\]-][^\]]+\]/, 'with the id of the request';
    my ($line) = lines_of('its_id', qr/the id is /, site => 'other');
    $other = substr slurp(root() . '/logs/other_log'), $before;
    my ($id, $said) = $other =~ /\[id ([^\]]+)\].*the id is (.*)$/m;
    is $said, $id, 'which is weave.request_id';
    $before = -s root() . '/logs/other_log';
    lines_of('levels', qr/a critical line/);
    unlike substr(slurp(root() . '/logs/other_log'), $before), qr/an? \w+ line/,
        'and only that';
};

subtest 'threads' => sub {
    my @lines = lines_of('from_thread', qr/logged from a thread/);
    is scalar(grep { /: from a thread|(?<!logged) from a thread/ } @lines), 1,
        'print() of a thread';
    @lines = lines_of('thread_dies', qr/ValueError: invalid/);
    is scalar(grep { /Traceback/ } @lines), 1, 'a thread that dies';
};

subtest 'concurrent requests do not mix their lines' => sub {
    my @names = qw(aaa bbb ccc ddd);
    my $log = logged(qr/./, sub {
        my @clients = map { client() } @names;
        for my $i (0 .. $#names) {
            $clients[$i]->send(WeaveTest::Client::format_request(
                'GET', "/errors/interleaved?me=$names[$i]"));
        }
        is $_->response->body, 'ok', 'served' for @clients;
    });
    my @lines = split /\n/, $log;
    for my $name (@names) {
        is scalar(grep { /<$name \d+ $name>$/ } @lines), 200,
            "wsgi.errors of $name";
        is scalar(grep { /\[$name \d+ $name\]$/ } @lines), 200,
            "print() of $name";
    }
};

subtest 'a stream kept beyond its request' => sub {
    logged(undef, sub {
        get('/errors/late_write') for 1 .. 8;
        get('/errors/use_late') for 1 .. 8;
    });
    is get('/hello')->status, 200, 'does no harm';
};

finish;
