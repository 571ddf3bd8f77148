# SPDX-License-Identifier: Apache-2.0
#
# Maintenance in the middle of everything: once weavectl has returned, no request
# is admitted; what was admitted before runs and is not cut, and --wait waits for
# it.

use strict;
use warnings FATAL => 'all';
use JSON::PP ();
use List::Util qw(sum0);
use POSIX ();
use Test::More;
use Time::HiRes qw(sleep time);
use WeaveTest;
use WeaveTest::Client ();
use WeaveTest::Httpd ();
use WeaveTest::Maintenance;
use WeaveTest::Workers qw($GATES weavectl gate is_at opens requests_are);

my $CLIENTS = 14;
my $ROUNDS  = 20;

# Notes when it starts, as the first thing it does.
my $app = $GATES . <<'END';
import random
import time

STARTS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "starts")


def application(environ, start_response):
    line = "%.6f %s\n" % (time.time(), environ["QUERY_STRING"])
    fd = os.open(STARTS, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    os.write(fd, line.encode())
    os.close(fd)
    body = environ["wsgi.input"].read()
    name, _, gate = environ["QUERY_STRING"].partition("=")
    if name in ("hold", "sleep"):  # with the GIL, and without
        stands_at(gate, name == "hold")
    time.sleep(random.uniform(0.02, 0.05))
    text = b"done %d\n" % len(body) * 1000
    start_response("200 OK", [("Content-Type", "text/plain"),
                              ("Content-Length", str(len(text)))])
    return [text]
END

# Fewer threads than clients, so that they wait in the queue, longer than
# weavectl takes; in httpd, where connections wait for a thread.
my $FEW = <<'END';
MaxKeepAliveRequests 20
<IfModule mpm_prefork_module>
    StartServers        6
    MaxRequestWorkers   6
</IfModule>
<IfModule !mpm_prefork_module>
    StartServers        2
    ThreadsPerChild     3
    MinSpareThreads     3
    MaxSpareThreads     6
    ServerLimit         2
    MaxRequestWorkers   6
</IfModule>
END

# One child, and many threads in it.
my $ONE = <<'END';
StartServers        1
ThreadsPerChild     8
MinSpareThreads     1
MaxSpareThreads     8
ServerLimit         1
MaxRequestWorkers   8
END

sub new_httpd {
    my ($mode, $conf, $workers) = @_;
    my $httpd = WeaveTest::Httpd->new(
        app  => $app, mode => $mode,
        more => "[workers]\n$workers"
            . "[maintenance]\nstyle = sync\nspread = 0\nretry_after = 99\n"
            # who is refused in the moment when it ends is told this
            . "[limits]\nbackoff = 99\nqueue_timeout = 60\n",
        conf => ($mode eq 'embedded' ? $conf : '') . 'WeaveApp / "DIR/sync.ini"',
        # threads of httpd run out, and that is what is meant
        expect => qr/AH00484|AH10159|AH00161|AH0028[67]/);
    $httpd->start;
    is $httpd->get('/')->status, 200, 'it serves';
    return $httpd;
}

# Runs it and returns when it had returned.
sub switched {
    my ($httpd, @args) = @_;
    my ($exit, $text) =
        weavectl($httpd, '-s', $httpd->state, 'maintenance', @args);
    my $time = time;
    $exit == 0 or die "weavectl maintenance @args: $exit $text";
    return $time;
}

# ([WHEN, QUERY]...) that have started in Python.
sub starts {
    my $file = $_[0]->dir . '/starts';
    return () unless -e $file;
    return map { [split / /, $_, 2] } split /\n/, slurp($file);
}

# What is wrong with an answer, or ''.
sub _wrong {
    my ($res, $length) = @_;
    return 'cut: ' . $res->status unless $res->complete;
    return '' if $res->status == 200
        && $res->body eq "done $length\n" x 1000;
    return '' if $res->status == 503 && $res->body eq $STORAGE
        && ($res->header('Retry-After') || '') eq '99';
    return 'neither of the two: ' . $res->head . $res->body;
}

# One client that asks until there is a file `told`; the file `answers` gets a
# line for each answer: when asked, when answered, status, what was asked, what
# is wrong. As in
# WeaveTest::Load, a kept-alive connection may be closed instead of an answer.
sub ask_until_told {
    my ($httpd, $number) = @_;
    my $dir    = $httpd->dir;
    open my $answers, '>>', "$dir/answers" or die "answers: $!";
    my $post   = $number % 2;
    my $keep   = $number % 4 < 2;
    my $length = $post ? 3000 : 0;
    my ($client, $count) = (undef, 0);
    until (-e "$dir/told") {
        my $fresh = !$client;
        my $name  = "load.$number." . $count++;
        my $begin = time;
        my $res   = eval {
            $client ||= $httpd->client;
            $client->request($post ? 'POST' : 'GET', "/1.1/u/storage?$name",
                close => !$keep, $post ? (body => 'x' x $length) : ());
        };
        my $wrong = $res ? _wrong($res, $length) : "no answer: $@";
        $wrong =~ s/\s+/ /g;
        undef $wrong if $wrong && !$fresh && $res && $res->head eq '';
        syswrite $answers, sprintf "%.6f %.6f %d %s %s\n", $begin, time,
            $res ? $res->status : 0, $name, $wrong if defined $wrong;
        undef $client
            if !$keep || !$res || !defined $wrong || $wrong
            || lc($res->header('Connection') || '') eq 'close';
    }
}

sub clients_start {
    my $httpd = shift;
    return map {
        my $pid = fork;
        die "fork: $!" unless defined $pid;
        if (!$pid) {
            ask_until_told($httpd, $_);
            POSIX::_exit(0);
        }
        $pid;
    } 1 .. $CLIENTS;
}

# ([WHEN ASKED, WHEN ANSWERED, STATUS, QUERY, WHAT IS WRONG]...)
sub clients_stop {
    my ($httpd, @pids) = @_;
    spew($httpd->dir . '/told', '');
    waitpid $_, 0 for @pids;
    return map { [split / /, $_, 5] }
        split /\n/, slurp($httpd->dir . '/answers');
}

# How many were refused: (for maintenance, for another reason).
sub refused {
    my $httpd = shift;
    my (undef, $text) =
        weavectl($httpd, '-s', $httpd->state, 'status', '--json');
    # what is said to standard error follows it
    my ($status) = JSON::PP->new->decode_prefix($text);
    my ($app)    = @{ $status->{applications} };
    my %count = %{ $app->{maintenance}{counters}{refused} };
    my $ours  = delete $count{maintenance};
    my $other = 0;
    $other += $_ for values %count;
    return ($ours, $other);
}

# A thread may be put aside where it is admitted, before anybody counts it; or
# where it has begun, before its note of that.
my $ASIDE = 0.1;

sub count_in {
    my ($from, $to, @times) = @_;
    return scalar grep { $_ > $from && $_ < $to } @times;
}

# A span [FROM, TO] of SECONDS at least, and until there was load in it: what
# comes into the file NAME meanwhile, as its lines, is enough for ENOUGH.
sub lasts {
    my ($httpd, $from, $seconds, $name, $enough) = @_;
    my $file = $httpd->dir . "/$name";
    my $size = -s $file || 0;
    sleep $seconds;
    eventually(sub {
        return (-s $file || 0) > $size
            && $enough->(split /\n/, substr slurp($file), $size);
    }) or die "no load\n";
    return [$from, time];
}

# So many started, or were refused who had asked after FROM, in each span.
my $LEAST = 2;

sub lasts_on {
    my ($httpd, $from) = @_;
    return lasts($httpd, $from, $ASIDE + 0.1, 'answers', sub {
        return $LEAST <= grep { /^(\S+) \S+ 503/ && $1 > $from } @_;
    });
}

sub lasts_off {
    my ($httpd, $from) = @_;
    return lasts($httpd, $from, 0.1, 'starts', sub { return @_ >= $LEAST });
}

sub under_load {
    my $httpd = shift;
    my @pids  = clients_start($httpd);
    my (@on, @waited, @off);
    lasts_off($httpd, time);
    for my $round (1 .. $ROUNDS) {
        my @wait = $round % 2 ? () : qw(--wait 60s);
        push @on, lasts_on($httpd, switched($httpd, 'on', @wait));
        push @waited, $on[-1] if @wait;
        push @off, lasts_off($httpd, switched($httpd, 'off'));
    }
    my @answers = clients_stop($httpd, @pids);
    my %started = map { $_->[1] => $_->[0] } starts($httpd);
    my @starts  = values %started;
    my @wrong   = grep { defined && $_ ne '' } map { $_->[4] } @answers;
    is_deeply \@wrong, [], 'each answer is whole, a 200 or a 503';

    my ($late, $through, $served, $refused) = (0, 0, 0, 0);
    for my $span (@on) {
        $late    += grep { $_->[0] > $span->[0] && $started{$_->[3]}
            && $started{$_->[3]} < $span->[1] } @answers;
        $refused += grep { $_->[2] == 503 && $_->[1] > $span->[0]
            && $_->[1] < $span->[1] } @answers;
    }
    for my $span (@off) {
        $served  += count_in(@$span, @starts) > 0;
        $through += grep { $_->[2] == 503 && $_->[0] > $span->[0]
            && $_->[1] < $span->[1] } @answers;
    }
    is $late,    0, 'nobody is admitted while it is on';
    is sum0(map { count_in($_->[0] + $ASIDE, $_->[1], @starts) } @waited), 0,
        'nothing starts in Python when --wait has returned';
    is $through, 0, 'nobody is refused while it is off';
    is $served, $ROUNDS, 'and each time somebody was served';
    cmp_ok $refused, '>=', $LEAST * $ROUNDS, 'there was load while it was on';
    my $done = grep { $_->[2] == 200 } @answers;
    cmp_ok $done, '>=', $LEAST * $ROUNDS, 'and while it was off';
    is $httpd->get('/')->status, 200, 'off in the end';
    my ($ours, $others) = refused($httpd);
    cmp_ok $ours, '>=', grep({ $_->[2] == 503 } @answers), 'all are counted';
    is $others, 0, 'nobody was refused for another reason';
}

# What has started is not cut, what has not been admitted is refused.
sub in_flight {
    my ($httpd, $mode) = @_;
    my $slow   = $httpd->client;
    my $upload = $httpd->client;
    my $part = 'x' x ($mode eq 'embedded' ? 5000 : 400_000);
    my $gate = gate($httpd);
    $slow->send("GET /?sleep=$gate->{name} HTTP/1.1\r\nHost: localhost\r\n\r\n");
    $upload->send("POST /1.1/u/storage?upload HTTP/1.1\r\n"
        . "Host: localhost\r\nContent-Length: " . 8 * length($part) . "\r\n\r\n");
    for (1 .. 4) {
        $upload->send($part);
        sleep 0.1;
    }
    is_at($gate);
    my $on = switched($httpd, 'on');
    is_refusal($httpd->get('/'), 'on', retry => 99);
    for (1 .. 4) {
        sleep 0.1;
        $upload->send($part);
    }
    # in httpd the application may begin while its body comes
    my $begun = grep { $_->[1] eq 'upload' } starts($httpd);
    if ($mode eq 'embedded' && $begun) {
        is $upload->response->body, "done 40000\n" x 1000,
            'an upload that the application reads goes on to its end';
    }
    else {
        is_refusal($upload->response, 'an upload that was under way is refused',
            body => $STORAGE, retry => 99);
        is $begun, 0, 'the application never sees it';
    }
    ok !$slow->readable(0), 'the slow one is still at it';
    opens($gate);
    my $res = $slow->response;
    is $res->status, 200, 'what had started goes on to its end';
    ok $res->complete, 'it is whole';
    is $res->body, "done 0\n" x 1000, 'and the application\'s';
    is $slow->request('GET', '/')->status, 503, 'its connection is no way in';
    is $httpd->get('/')->status, 503, 'nor are others';
    is count_in($on, time, map { $_->[0] } starts($httpd)), 0,
        'nothing has started';
    switched($httpd, 'off');
    is $httpd->get('/')->status, 200, 'off, they are';
}

# It has a thread, and waits for Python.
sub behind_another {
    my $httpd  = shift;
    my $first  = $httpd->client;
    my $second = $httpd->client;
    my $gate   = gate($httpd);
    $first->send("GET /?hold=$gate->{name} HTTP/1.1\r\nHost: localhost\r\n\r\n");
    is_at($gate);
    $second->send("GET /?second HTTP/1.1\r\nHost: localhost\r\n\r\n");
    requests_are($httpd, qr/sync\.ini/, 2);
    switched($httpd, 'on');
    ok !$first->readable(0), 'the first one is still at it';
    opens($gate);
    is $_->response->status, 200, 'what was admitted is answered'
        for $first, $second;
    switched($httpd, qw(on --wait 60s));
    is $httpd->get('/?third')->status, 503, 'nobody else is';
}

for my $mode (modes()) {
    my $httpd = new_httpd($mode, $FEW, "processes = 2\nthreads = 1\n");
    subtest "under load, $mode" => sub { under_load($httpd) };
    subtest "in flight, $mode" => sub { in_flight($httpd, $mode) };
    ok defined $httpd->stop, 'httpd stops';
    next if $mode eq 'embedded' && mpm() eq 'prefork';    # none waits there

    $httpd = new_httpd($mode, $ONE, "processes = 1\nthreads = 4\n");
    subtest "behind another, $mode" => sub { behind_another($httpd) };
    ok defined $httpd->stop, 'httpd stops';
}

finish;
