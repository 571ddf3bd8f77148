# SPDX-License-Identifier: Apache-2.0
#
# Applications that fork, run programs, start threads and catch signals.

use strict;
use warnings FATAL => 'all';
use Test::More;
use Time::HiRes qw(time);
use WeaveTest;
use WeaveTest::Workers;

my $httpd = new_httpd(
    workers => "processes = 1\nthreads = 4\n",
    limits  => "queue_timeout = 30\n",
    expect  => qr/WEAVE0075/);
my ($pid) = serves($httpd, 1);

subtest 'a child that lives on' => sub {
    my $begin = time;
    my $res   = $httpd->get('/fork?s=300');
    like $res->body, qr/^\d+$/, 'does not keep the answer';
    cmp_ok time - $begin, '<', 50, 'nor the connection';
    my $child = $res->body;
    is $httpd->get('/who')->status, 200, 'the worker goes on';
    my $log = $httpd->logged(qr/WEAVE0075/, sub { kill KILL => $pid });
    like $log, qr/\b$pid\b.*SIGKILL/, 'nor hides the death of its parent';
    is $httpd->get('/who')->status, 200, 'another one serves';
    ok kill(KILL => $child), 'it has lived until now';
};

($pid) = serves($httpd, 1);

subtest 'a child that returns from the application' => sub {
    my $res = $httpd->get('/fork_that_returns');
    like $res->body, qr/^parent (\d+)$/, 'one answer, of the parent';
    my ($child) = $res->body =~ /(\d+)/;
    ok eventually(sub {
        (eval { slurp("/proc/$child/stat") } || 'gone) Z ') =~ /\) Z /;
    }), 'the child ends';
    like $httpd->get('/who')->body, qr/^$pid /, 'the worker goes on';
};

subtest 'children that are waited for' => sub {
    like $httpd->get('/fork')->body, qr/^\d+$/, 'fork()';
    is $httpd->get('/wait')->body, '0', 'and waitpid()';
};

is $httpd->get('/run')->body, 'SigBlk: 0000000000000000 0 1 2 3',
    'a program inherits nothing but 0, 1 and 2; the 3 is of ls';
my $note = new_note();
is $httpd->get("/thread?note=$note")->body, 'started', 'a thread';
is_deeply [notes($note, 1)], ['thread'], 'goes on beyond its request';
like $httpd->get('/caught')->body, qr/^10\b/, 'a signal is caught';
like $httpd->get('/who')->body, qr/^$pid /, 'all of it by one worker';

ok defined $httpd->stop, 'httpd stops';
finish;
