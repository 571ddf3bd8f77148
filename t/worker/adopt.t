# SPDX-License-Identifier: Apache-2.0
#
# A weaved that has taken over workers, and is not told yet what httpd wants, nor
# the secrets of the applications: they serve, and those that are not wanted any
# more leave once it is told.

use strict;
use warnings FATAL => 'all';
use Test::More;
use WeaveTest;
use WeaveTest::Load ();
use WeaveTest::Rogue ();
use WeaveTest::Workers;

my $weaved = conf_var('weave_build') . '/weaved';
my $two = qq(WeaveApp / "DIR/sync.ini"\nWeaveApp /other "DIR/other.ini"\n);

# weaved, with somebody between httpd and it who keeps what is wanted to himself
# while there is a file DIR/hold.
my $httpd = WeaveTest::Rogue->with_programs(
    {weaved => <<"END"},
#!/usr/bin/python3
import os
import select
import socket
import sys

HTTPD = 6
ours, theirs = socket.socketpair()
if os.fork():
    os.dup2(theirs.fileno(), HTTPD)
    os.execv("$weaved", ["weaved"] + sys.argv[1:])
theirs.close()
for fd in 3, 4, 5:
    os.close(fd)
httpd = socket.socket(fileno=HTTPD)
line = b""
try:
    while True:
        for one in select.select([httpd, ours], [], [])[0]:
            data, fds, _, _ = socket.recv_fds(one, 1 << 16, 4)
            if not data:
                sys.exit()
            if one is ours:
                httpd.sendall(data)
                continue
            line += data
            if line.endswith(b"\\n"):
                if b'"want"' not in line or not os.path.exists("DIR/hold"):
                    socket.send_fds(ours, [line[:1]], fds)
                    ours.sendall(line[1:])
                line = b""
            for fd in fds:
                os.close(fd)
except OSError:
    pass  # one of them was killed with something unread
END
    workers => "processes = 1\nthreads = 2\n",
    conf    => $two,
    expect  => qr/WEAVE013[01]/);
$httpd->write('other.ini', slurp($httpd->dir . '/sync.ini'));
$httpd->start;
my @names = qw(sync other);

sub pid_of { return (workers($httpd, qr/$_[0]\.ini$/))[0] }
ok eventually(sub { 2 == grep { pid_of($_) } @names }), 'both serve';
my %old = map { $_ => pid_of($_) } @names;
my $load = WeaveTest::Load->start($httpd->port, '/sleep?s=0.01',
    clients => 2, keep_alive => 1);

$httpd->write('hold', '');
my $before = status($httpd)->{pid};
my $log = $httpd->logged(qr/WEAVE0086/, sub { kill KILL => $before });
ok eventually(sub { my $now = status($httpd); $now && $now->{pid} != $before }),
    'another weaved';
for my $path ('/who', '/other/who') {
    is $httpd->get($path)->status, 200, "$path is served" for 1 .. 5;
}
ok kill(0, $_), "$_ runs" for values %old;

# httpd does not wait for an answer
ok eventually(sub { $httpd->log_text =~ /WEAVE0132/ }), 'httpd goes on';
unlink $httpd->dir . '/hold';
$httpd->configure(qq(WeaveApp / "DIR/sync.ini"\n));
ok $httpd->renew, 'a graceful without the other application';
ok gone($old{other}), 'the worker leaves that nobody wants any more';
is $httpd->get('/who')->body =~ s/ .*//sr, $old{sync}, 'the other one serves';
reloads($httpd);
ok gone($old{sync}), 'as does the one that is replaced';

my ($answered, $reopened, @failures) = $load->stop;
cmp_ok $answered, '>', 20, 'there was load all the time';
is_deeply \@failures, [], 'no request failed';
unlike $httpd->log_text, qr/WEAVE0200|WEAVE0085/, 'nobody was taken for a stranger';
ok defined $httpd->stop, 'httpd stops';
$httpd->no_crash;
finish;
