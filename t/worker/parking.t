# SPDX-License-Identifier: Apache-2.0
#
# A worker parks executors that have nothing to do. Requests that block inside
# the application, all at once, must still have an executor each: here each of
# them waits for all others.

use strict;
use warnings FATAL => 'all';
use POSIX ();
use Test::More;
use Time::HiRes qw(time);
use WeaveTest;
use WeaveTest::Httpd ();

use constant THREADS => 6;

my $httpd = WeaveTest::Httpd->new(
    mode => 'processes', more => "[workers]\nprocesses = 1\nthreads = "
        . THREADS . "\n[limits]\nqueue_length = 2\n", app => <<'END');
import threading

meeting = threading.Barrier(6, timeout=30)

def application(environ, start_response):
    if environ["PATH_INFO"] == "/meet":
        meeting.wait()
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"Hello"]
END
$httpd->start;
ok eventually(sub { $httpd->get('/')->status == 200 }), 'it serves';

sub meet {
    my ($name) = @_;
    my @clients = map {
        my $client = $httpd->client;
        $client->send("GET /meet HTTP/1.1\r\nHost: localhost\r\n"
            . "Connection: close\r\n\r\n");
        $client;
    } 1 .. THREADS;
    is_deeply [map { $_->response->status } @clients], [(200) x THREADS],
        $name;
}

# Short requests from as many clients as executors and queue are for: they get
# executors to be parked, which is no reason to refuse one.
sub hurry {
    my $until = time + 0.5;
    my @pids  = map {
        my $pid = fork;
        die "fork: $!" unless defined $pid;
        if (!$pid) {
            1 while time < $until && $httpd->get('/')->status == 200;
            POSIX::_exit(time < $until ? 1 : 0);
        }
        $pid;
    } 1 .. THREADS + 2;
    my $failed = grep { waitpid($_, 0) < 0 || $? } @pids;
    is $failed, 0, 'short requests are answered';
}

meet('all executors run at once when nothing was asked before');
for my $round (1 .. 3) {
    hurry();
    meet("and after many short requests, round $round");
}
meet('and once more at once');
ok defined $httpd->stop, 'httpd stops';
done_testing;
