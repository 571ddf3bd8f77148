# SPDX-License-Identifier: Apache-2.0
#
# A worker that is not what it should be before it has a request: to httpd's
# children with its WELCOME, and to weaved on its control channel.

use strict;
use warnings FATAL => 'all';
use Test::More;
use Time::HiRes qw(time);
use WeaveTest;
use WeaveTest::Rogue ();
use WeaveTest::Workers qw(weavectl status gone);

my $httpd = WeaveTest::Rogue->new(
    limits => "queue_timeout = 200ms\nstartup_timeout = 30\n",
    conf   => $WeaveTest::Rogue::ONE_CHILD,
    expect => qr/WEAVE013[48]|WEAVE007[01459]|WEAVE0080|WEAVE009|AH1015|AH00161|rogue/);
$httpd->serves;

sub good { return $httpd->get('/good/who')->status }

# ---- to httpd ----

subtest 'a WELCOME that is none' => sub {
    my $pid    = $httpd->child;
    my $source = slurp(root() . '/lib/WeaveTest/rogue-worker');
    my @names  = $source =~ /^(?:def )?hello_(\w+)(?:\(| = )/mg;
    cmp_ok scalar @names, '>', 15, 'in many ways';
    my $before = $httpd->descriptors($pid);
    for my $name (grep { $_ ne 'silent' } @names) {
        $httpd->serve_as("hello_$name");
        my $begin = time;
        my ($end) = $httpd->asks('well');
        is $end, '503', $name;
        cmp_ok time - $begin, '<', 20, "$name: in time";
    }
    is good(), 200, 'the other application goes on';
    my %left = map { $_ => 1 } keys %{ $httpd->descriptors($pid) };
    delete $left{socket};
    for my $kind (mpm() eq 'prefork' ? () : sort keys %left) {
        ok eventually(sub {
            my $now = $httpd->descriptors($pid)->{$kind} || 0;
            $now == ($before->{$kind} || 0);
        }), "no $kind is left";
    }
    ok eventually(sub { $httpd->boards($pid) <= 2 }), 'nor a mapping';
    my $said = () = $httpd->log_text =~ /WEAVE013[48]/g;
  SKIP: {
        skip 'each child says it', 1 if mpm() eq 'prefork';
        is $said, 1, 'that there is no way to it is said once';
    }
};

subtest 'none at all' => sub {
    $httpd->serve_as('hello_silent');
    my @waiting = map { $httpd->begins('well') } 1 .. 4;
    is good(), 200, 'the other application goes on' for 1 .. 5;
    my $begin = time;
    is(($httpd->ends($_))[0], '503', 'is waited for as long as it may take')
        for @waiting;
    cmp_ok time - $begin, '<', 20, 'and not longer';
    $httpd->serve_as('');
    is(($httpd->asks('well'))[0], '200', 'then it serves again');
};

# ---- to weaved ----

# A new worker that begins with tell_NAME; the log says WANT.
sub tells {
    my ($name, $want) = @_;
    my ($old) = $httpd->rogue;
    $httpd->serve_as("tell_$name");
    my $log = $httpd->logged($want, sub { weavectl($httpd, '-i',
        $httpd->dir . '/rogue.ini', 'reload') });
    like $log, $want, "$name: is said";
    is status($httpd)->{applications} ? 1 : 0, 1, "$name: weaved goes on";
    return ($old, $log);
}

my $weaved = status($httpd)->{pid};
my $open   = $httpd->descriptors($weaved);

for my $name (qw(rubbish no_object unknown deep without_end numbers)) {
    subtest "control messages: $name" => sub {
        my ($old) = tells($name, qr/WEAVE0070: worker \d+ of .*rogue\.ini has sent/);
        is_deeply [$httpd->rogue], [$old], 'the generation of before goes on';
        is(($httpd->asks('well'))[0], '200', 'and serves');
    };
}

subtest 'a channel that is closed' => sub {
    my ($old) = tells('nothing', qr/WEAVE0070.*has closed its control channel/);
    is_deeply [$httpd->rogue], [$old], 'the generation of before goes on';
};

subtest 'an end before it was ready' => sub {
    my ($old) = tells('exit', qr/WEAVE0080.*exit status 9/);
    is_deeply [$httpd->rogue], [$old], 'the generation of before goes on';
};

subtest 'ready twice' => sub {
    tells('ready_twice', qr/WEAVE0070.*says twice/);
    $httpd->serve_as('');
    ok eventually(sub { ($httpd->asks('well'))[0] eq '200' }),
        'a good one takes its place';
};

subtest 'descriptors that nobody wants' => sub {
    my ($old) = tells('ready_with_fds', qr/WEAVE0082.*rogue\.ini serves/);
    ok gone($old), 'another one serves';
    is(($httpd->asks('well'))[0], '200', 'indeed');
};

subtest 'stuck, and stuck, and stuck' => sub {
    my $before = length $httpd->log_text;
    tells('stuck', qr/WEAVE0079.*its successor starts in/);
    my ($log, @pauses);
    ok eventually(sub {
        $log    = substr $httpd->log_text, $before;
        @pauses = $log =~ /WEAVE0079.*its successor starts in ([\d.]+) s/g;
        return @pauses >= 5;
    }), 'again and again';
    is_deeply [@pauses[0 .. 4]], [qw(0.0 0.1 0.2 0.4 0.8)],
        'with pauses that grow';
    cmp_ok scalar(() = $log =~ /serves, after/g), '<=', scalar @pauses,
        'starts one after the other';
    is good(), 200, 'the other application goes on';
    $httpd->serve_as('');
    ok eventually(sub { ($httpd->asks('well'))[0] eq '200' }),
        'a good one takes its place';
};

subtest 'much on stderr' => sub {
    tells('much_on_stderr', qr/WEAVE0082.*rogue\.ini serves/);
    is(($httpd->asks('well'))[0], '200', 'is no matter');
};

subtest 'weaved' => sub {
    is status($httpd)->{pid}, $weaved, 'is the same';
    $httpd->serve_as('');
    ok eventually(sub {
        my $now = $httpd->descriptors($weaved);
        !grep { $now->{$_} > ($open->{$_} || 0) } keys %$now;
    }), 'has no more descriptors than before'
        or diag explain $open, $httpd->descriptors($weaved);
};

is good(), 200, 'the other application goes on';
ok defined $httpd->stop, 'httpd stops';
$httpd->no_crash;
finish;
