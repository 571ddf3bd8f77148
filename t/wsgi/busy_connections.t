# SPDX-License-Identifier: Apache-2.0
#
# A client that sends the next request as soon as it has the answer: on event, with workers,
# httpd's thread waits a moment for it (keepalive.c).

use strict;
use warnings FATAL => 'all';
use POSIX ();
use Test::More;
use Time::HiRes qw(sleep time);
use WeaveTest;
use WeaveTest::Graceful qw($plain restarts);
use WeaveTest::Httpd ();

my $httpd = WeaveTest::Httpd->new(
    mode => mode(), app => <<'END', conf => <<'END');
import time


def application(environ, start_response):
    body = environ["QUERY_STRING"].encode() + environ["wsgi.input"].read()
    headers = [("Content-Type", "text/plain")]
    path = environ["PATH_INFO"]
    if path == "/slow":
        time.sleep(0.02)
    if path == "/large":
        body *= 100000
    if path != "/open":
        headers.append(("Content-Length", str(len(body))))
    start_response("404 Nothing" if path == "/none" else "200 OK", headers)
    return [body] if path != "/open" else iter([body[:1], body[1:]])
END
LogFormat "%P-%{tid}P %q" threads
CustomLog "DIR/threads" threads
MaxKeepAliveRequests 0
<IfModule !mpm_prefork_module>
    StartServers     1
    ServerLimit      4
    ThreadsPerChild  4
    MinSpareThreads  1
    MaxSpareThreads  16
    MaxRequestWorkers 16
</IfModule>
WeaveApp /app "DIR/sync.ini"
END
$httpd->start;
ok eventually(sub { $httpd->get('/app/x')->status == 200 }), 'it serves';

my $sent = 0;

# Sends COUNT requests one after the other; returns how many answers are wrong.
sub hurry {
    my ($client, $count) = @_;
    return scalar grep {
        my $res = $client->request('GET', '/app/x?' . ++$sent);
        $res->status != 200 || $res->body ne $sent;
    } 1 .. $count;
}

# The most requests in a row that one thread has had, of those whose query has WHICH.
sub longest {
    my $which = shift || '';
    my ($most, $run, $before) = (0, 0, '');
    for my $line (grep { /\Q$which/ } split /\n/, slurp($httpd->dir . '/threads')) {
        my ($thread) = split / /, $line;
        $run    = $thread eq $before ? $run + 1 : 1;
        $most   = $run if $run > $most;
        $before = $thread;
    }
    return $most;
}

subtest 'one thread' => sub {
    my $client = $httpd->client;
    my $end    = time + 60;
    my $wrong  = 0;
    $wrong += hurry($client, 100) while longest() < 12 && time < $end;
    is $wrong, 0, 'each request has its answer';
    cmp_ok longest(), '>=', 12, 'many in a row from one thread';
    my $last = $sent;
    ok eventually(sub { slurp($httpd->dir . '/threads') =~ / \?$last$/m }),
        'the last one is logged without another request';
    sleep 0.1;
    is hurry($client, 1), 0, 'one after a pause has its answer, too';

    is scalar(grep { $client->request('GET', "/app/slow?slow$_")->status != 200 } 1 .. 20), 0,
        'requests that take a while';
    ok eventually(sub { slurp($httpd->dir . '/threads') =~ /slow20$/m }), 'are logged';
    cmp_ok longest('slow'), '<', 15, 'and keep no thread from others';
} if mpm() eq 'event' && mode() eq 'processes';

subtest 'all kinds of answers and requests' => sub {
    my $client = $httpd->client;
    my %wrong;
    my $expect = sub {
        my ($name, $is_right) = @_;
        $wrong{$name}++ if !$is_right || hurry($client, 2);
    };
    for (1 .. 20) {
        my $res = $client->request('GET', '/app/open?abc');
        $expect->('chunks', $res->body eq 'abc' && $res->complete);
        $res = $client->request('GET', '/app/none?abc');
        $expect->('404', $res->status == 404);
        $res = $client->request('HEAD', '/app/x?abc');
        $expect->('HEAD', $res->status == 200);
        $res = $client->request('POST', '/app/x?a', body => 'bc');
        $expect->('POST', $res->body eq 'abc');
        $res = $client->request('GET', '/app/large?abc');
        $expect->('large', length $res->body == 300000 && $res->complete);
        $res = $client->request('GET', '/plain.txt');
        $expect->('a file', $res->body eq $plain);
    }
    is_deeply \%wrong, {}, 'are as they must be';
};

subtest 'what the client may do next' => sub {
    my $client = $httpd->client;
    is hurry($client, 10), 0, 'it hurries';
    $client->send('GET /app/x?ha');
    sleep 0.05;
    $client->send("lf HTTP/1.1\r\nHost: localhost\r\n\r\n");
    is $client->response->body, 'half', 'half a request, and the rest later';

    is hurry($client, 10), 0, 'it hurries';
    $client->send(join '',
        map { "GET /app/x?$_ HTTP/1.1\r\nHost: localhost\r\n\r\n" } 1 .. 10);
    is_deeply [map { $client->response->body } 1 .. 10], [1 .. 10],
        'pipelined requests';

    is hurry($client, 10), 0, 'it hurries';
    $client->shut_writing;
    is $client->drain, '', 'its end ends the connection';

    $client = $httpd->client;
    is hurry($client, 10), 0, 'another one hurries';
    $client->close(1);
    is $httpd->get('/app/x?after')->body, 'after', 'and is gone';
};

# Clients in processes of their own, until the file UNTIL is there.
sub crowd {
    my ($count, $until) = @_;
    return map {
        my $pid = fork;
        die "fork: $!" unless defined $pid;
        if (!$pid) {
            my $failed = 0;
            while (!-e $until && !$failed) {
                my $client = $httpd->client;
                my $res;
                do {
                    $res = eval { $client->request('GET', '/app/x?crowd') };
                    # httpd may close a connection between two requests
                    $res    = undef if $res && !$res->status;
                    $failed = 1     if $res && $res->body ne 'crowd';
                } while ($res && !$failed && !-e $until
                    && lc($res->header('Connection') || '') ne 'close');
            }
            POSIX::_exit($failed);
        }
        $pid;
    } 1 .. $count;
}

subtest 'more of them than threads' => sub {
    my $until = $httpd->dir . '/enough';
    my @pids  = crowd(6, $until);
    is scalar(grep { $httpd->get("/app/x?$_")->body ne $_ } 1 .. 10), 0,
        'leave room for others';
    restarts($httpd) for 1 .. 2;
    spew($until, '');
    is scalar(grep { waitpid($_, 0) < 0 || $? } @pids), 0,
        'and have their answers, over restarts too';
};

$httpd->stop;
finish;
