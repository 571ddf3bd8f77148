# SPDX-License-Identifier: Apache-2.0
#
# A worker that does not keep to the wire: its clients get an answer that is
# well-formed or cut, everybody else notices nothing, and nothing is left.

use strict;
use warnings FATAL => 'all';
use Test::More;
use Time::HiRes qw(time);
use WeaveTest;
use WeaveTest::Rogue ();

# What becomes of /rogue/do/NAME: see rogue_requests.py and rogue_files.py.
my %ENDS = (
    '200' => [qw(
        well slowly after_the_last file log log_many_lines stderr reason_of_another reason_empty
        reason_with_control many_headers
    )],
    '204' => [qw(body_for_204)],
    '502' => [qw(
        half_head_begun half_payload half_body no_magic text zeros noise
        other_version other_number number_of_before type_0 type_99 hello
        welcome request body cancel data_too_long data_of_4_gib head_of_4_gib
        head_too_short end_too_short log_too_long log_too_short data_first
        file_first second_head flags_on_end data_of_nothing
        many_fds log_with_fd log_with_hidden_fd log_with_flag fd_in_the_middle
        log_line_too_long log_lines_that_grow log_too_many_lines
        log_too_many_bytes read_4_gib read_0 read_on_and_on
        file_with_two file_huge
        no_name name_with_space name_with_colon name_with_crlf
        name_with_8_bits value_with_crlf value_with_lf value_with_control
        type_with_crlf chunked connection own_length two_lengths status_100
        status_199 status_1000 status_0 status_negative reason_with_crlf
        count_too_great count_of_4_gib strings_too_long strings_of_4_gib
        no_strings no_nul length_negative length_too_long length_too_short
        65537_headers
        file_without file_that_is_a_pipe file_that_is_a_folder
        file_that_is_a_path file_write_only file_negative
        file_length_negative file_longer_than_length
        read_ahead end_0 end_100 end_200 end_700 end_cut end_gone
        end_minus_99 close_begun refused_begun refused_after_read
    )],
    '503' => [qw(
        end_503 half_head close refused cancelled
    )],
    # what is left on the connection meets the next try, perhaps
    '502|503' => [qw(refused_and_more)],
    '200 cut' => [qw(
        second_head_later end_before_length head_and_end_200
        head_and_end_404 head_and_end_gone close_after_head
        refused_after_head cancelled_after_head
        files_of_nothing file_and_data
    )],
    # does its head arrive before it?
    '200|502' => [qw(file_with_late_fd)],
    '200 and the end' => [qw(data_beyond_length)],
    # httpd finds out when the head should leave
    'nothing' => [qw(
        file_beyond_end file_beyond_end_with_length
    )],
    # it may be sent before, too
    'nothing|200 cut|200' => [qw(file_that_shrinks)],
    # in time, see below
    'slow' => [qw(half_open never never_begun never_after_head not_cancelled
        lines_for_ever head_for_ever)],
);
my %WANT = map { my $end = $_; map { $_ => $end } @{ $ENDS{$end} } } keys %ENDS;

my $httpd = WeaveTest::Rogue->new(
    limits => "queue_timeout = 8\nrequest_timeout = 1\n",
    conf   => $WeaveTest::Rogue::ONE_CHILD,
    expect => qr/WEAVE013[67]|AH1015|AH00161|rogue|line \d+ of many/);
$httpd->serves;

subtest 'all that is tested is all there is' => sub {
    my $source = join '', map { slurp(root() . "/lib/WeaveTest/rogue_$_.py") }
        qw(requests files);
    my %there = map { $_ => 1 } $source =~ /^(?:def )?do_(\w+)(?:\(| = )/mg,
        $source =~ /^    "(\w+)": dict\(/mg;
    is_deeply [sort keys %there], [sort keys %WANT], 'by name';
};

# They take some seconds: the others are tested meanwhile.
my $begin = time;
my %slow  = map { $_ => $httpd->begins($_) } @{ $ENDS{slow} };

sub good { return $httpd->get('/good/who')->status }

for my $name (grep { $WANT{$_} ne 'slow' } sort keys %WANT) {
    my ($end) = $httpd->asks($name);
    like $end, qr/\A(?:$WANT{$name})\z/, $name;
}
is good(), 200, 'the other application goes on' for 1 .. 5;

subtest 'a GET is sent once more' => sub {
    is(($httpd->asks('close_begun', method => 'GET'))[0], '502', 'a close');
    is(($httpd->asks('second_head_later', method => 'GET'))[0], '200 cut',
        'not with a head out');
};

subtest 'a worker that breaks the rules' => sub {
    my $said = sub { scalar(() = $httpd->log_text =~ /WEAVE0136/g) };
    my $before = $said->();
    is(($httpd->asks('no_magic', method => 'GET'))[0], '502',
        'is not asked once more');
    is $said->() - $before, 1, 'and there is one line about it';
};

subtest 'a streamed body' => sub {
    my $body = 'x' x 200_000;
    my $res  = $httpd->request('POST', '/rogue/stream/do/read_4_gib',
        body => $body);
    is $res->body, '0 200000', 'comes in pieces, whatever is asked for';
    $res = $httpd->request('POST', '/rogue/stream/do/read_0', body => $body);
    cmp_ok $res->body, '>', 0, 'also where nothing is';
    $res = $httpd->request('POST', '/rogue/stream/do/read_on_and_on',
        body => 'x');
    is $res->status, 502, 'who asks behind its end';
    $res = $httpd->request('POST', '/rogue/stream/do/refused_after_read',
        body => $body);
    is $res->status, 502, 'what has gone is not sent once more';
    $res = $httpd->request('POST', '/rogue/stream/do/read_ahead',
        body => $body x 10);
    is $res->status, 502, 'who asks and does not take';
};

subtest 'a worker that hangs' => sub {
    my %want = (half_open => '503', never => '503', not_cancelled => '200',
        never_begun => '502', never_after_head => '200 cut',
        lines_for_ever => '502', head_for_ever => '502');
    # those that end first first: a connection is not kept for long
    for my $name (sort { $a =~ /for_ever/ <=> $b =~ /for_ever/ || $a cmp $b }
        keys %slow) {
        my ($end) = $httpd->ends($slow{$name});
        # by now its connection may have been kept as long as httpd does
        $end =~ s/ and the end\z//;
        is $end, $want{$name}, $name;
    }
    cmp_ok time - $begin, '<', 45, 'is waited for as long as it may take';
};

SKIP: {
    skip 'one of many children', 2 if mpm() eq 'prefork';
    subtest 'little is taken' => \&little_is_taken;
    subtest 'nothing is left' => \&nothing_is_left;
}

# The most descriptors, and the most memory in MiB, that the child has had more
# than before while it was answered with NAME.
sub takes {
    my ($name) = @_;
    my $pid    = $httpd->child;
    my $memory = sub {
        return slurp("/proc/$pid/status") =~ /^VmRSS:\s+(\d+)/m ? $1 / 1024 : 0;
    };
    my $count  = sub { scalar(() = glob "/proc/$pid/fd/*") };
    my @before = ($count->(), $memory->());
    my @most   = (0, 0);
    my $client = $httpd->begins($name);
    until ($client->readable(0.01)) {
        my @now = ($count->(), $memory->());
        for (0, 1) {
            my $more = $now[$_] - $before[$_];
            $most[$_] = $more if $more > $most[$_];
        }
    }
    is +($httpd->ends($client))[0], $WANT{$name}, "$name ends";
    return @most;
}

sub little_is_taken {
    my ($fds) = takes('files_of_nothing');
    cmp_ok $fds, '<', 20, 'of descriptors';
    my (undef, $mib) = takes('log_lines_that_grow');
    cmp_ok $mib, '<', 20, 'and of memory';
}

sub nothing_is_left {
    my $pid = $httpd->child;
    my @names = qw(half_payload no_magic second_head_later file file_first
        file_without many_fds data_first end_200 close close_begun refused
        refused_and_more status_100 close_after_head file_beyond_end read_4_gib
        log_with_fd log_with_hidden_fd fd_in_the_middle files_of_nothing
        file_and_data file_with_two file_with_late_fd);
    my $round = sub { $httpd->asks($_) for @names };
    my $count = sub { join ' ', map { "$_=" . $_[0]{$_} } sort keys %{ $_[0] } };
    $round->();
    my $before = $httpd->descriptors($pid);
    my $boards = $httpd->boards($pid);
    $round->() for 1 .. 5;
    ok eventually(sub {
        my $now = $httpd->descriptors($pid);
        !grep { $now->{$_} > ($before->{$_} || 0) } keys %$now;
    }), 'of descriptors' or diag $count->($before), "\n",
        $count->($httpd->descriptors($pid));
    ok eventually(sub { $httpd->boards($pid) <= $boards }), 'nor of mappings';
    is $httpd->child, $pid, 'by the same child';
}

subtest 'an honest worker with more lines than one answer may have' => sub {
    is $httpd->get('/good/lines')->status, 200, 'is not taken for a rogue';
    ok eventually(sub {
        11_000 == (() = $httpd->log_text =~ /line \d+ of many/g);
    }), 'and all of them are in the log';
};

is good(), 200, 'the other application goes on';
my $log = $httpd->log_text;
like $log, qr/WEAVE0136: the worker \(pid \d+\) has sent what it must not/,
    'the log says who breaks the rules';
unlike $log, qr/^X-Injected/m, 'and no line of it is of others';
ok defined $httpd->stop, 'httpd stops';
$httpd->no_crash;
finish;
