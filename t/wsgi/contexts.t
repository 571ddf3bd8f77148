# SPDX-License-Identifier: Apache-2.0
#
# Each request has a context of its own (PEP 567, contextvars): nothing that a
# request sets is there in the next one on its thread.

use strict;
use warnings FATAL => 'all';
use Test::More;
use WeaveTest;

my $count = 0;
my %threads;

# Asks until THREADS requests came to a thread for a second time: what they find.
sub found {
    my ($threads, $case) = @_;
    my $client = client(undef);
    my ($second, @found) = (0);
    while ($second < $threads && @found < 500) {
        my $res  = $client->request('GET', "/contexts/$case?" . ++$count);
        my $data = eval { JSON::PP->new->decode($res->body) }
            or return fail("$case: an answer: " . $res->body);
        my $thread = delete $data->{thread};
        $second++ if $threads{$thread}++;
        push @found, $data;
    }
    is $second, $threads, "$case: threads of before serve again";
    return @found;
}

my %nothing = (var => 'nothing', decimals => 28, error => JSON::PP::false);

sub finds_nothing {
    my $when = shift;
    my @bad = grep { $_->{var} ne 'nothing' || $_->{decimals} != 28
            || $_->{error} } found(20, 'leave');
    is_deeply \@bad, [], "nothing is left $when";
}

finds_nothing('by those before');

subtest 'after exceptions' => sub {
    logged(qr/ValueError/, sub {
        is get("/contexts/fail?$_")->status, 500, 'a 500' }) for 1 .. 5;
    finds_nothing('by them');
};

subtest 'one request, one context' => sub {
    for my $where ('/contexts', '/input/stream/contexts') {
        my $note = new_note();
        my $res = request('POST', "$where/iterate?me", body => 'body',
            note => $note, app => 'contexts');
        is $res->body, "written set by me\niterated set by me\n"
            . "read body set by me\nlogged set by me\n",
            "$where: iteration, input, write() and log";
        is_deeply [notes($note, 1)], ['close set in the iteration'],
            'and close()';
    }
    finds_nothing('by iterations');
};

subtest 'threads and tasks' => sub {
    is_deeply json('/contexts/others?me'),
        ['nothing', ('set by me') x 3], 'have what Python gives them';
    finds_nothing('by them');
};

# From C: PyContext_Enter() without PyContext_Exit(), or the other way round.
subtest 'contexts that are left entered' => sub {
    my $log = logged(qr/WEAVE0210/, sub {
        is $_->{var}, 'set elsewhere', 'are there' for found(1, 'enter') });
    like $log, qr/WEAVE0210: .* context/, 'which the log says';
    $log = logged(qr/WEAVE0210/, sub { found(1, 'leave_all') });
    finds_nothing('by them');
};

finish;
