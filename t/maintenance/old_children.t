# SPDX-License-Identifier: Apache-2.0
#
# Children of before the last graceful go by the configuration of then, as long
# as they have a request. What `weavectl maintenance drain --wait` has reported
# holds in them, too. With worker processes they read a body before Python has
# the request; embedded, it is Python that waits for it, and is waited for.

use strict;
use warnings FATAL => 'all';
use POSIX ();
use Test::More;
use WeaveTest;
use WeaveTest::Httpd ();
use WeaveTest::Maintenance;
use WeaveTest::Workers qw(weavectl);

my $APP = <<'END';
def application(environ, start_response):
    size = len(environ["wsgi.input"].read())
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"%d" % size]
END

sub started {
    my ($more, %arg) = @_;
    my $httpd = WeaveTest::Httpd->new(
        mode => 'processes', app => $APP, more => $more, %arg);
    $httpd->start;
    ok eventually(sub { $httpd->get('/')->status == 200 }), 'it serves';
    return $httpd;
}

# A request whose body has not come whole, in a child that is told to leave.
sub half_sent {
    my $httpd  = shift;
    my $client = $httpd->client;
    $client->send("PUT /1.1/u/storage/x HTTP/1.1\r\nHost: localhost\r\n"
        . "Content-Length: 10\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n");
    is $client->response->status, 100, 'a request is being read';
    $client->send('12345');
    return $client;
}

# `drain --wait`, which fails, and CODE as soon as it has said that there is a
# drain: what it prints.
sub meanwhile {
    my ($httpd, $code) = @_;
    my $file = $httpd->state . '/maintenance.json';
    my $pid  = fork;
    die "fork: $!" unless defined $pid;
    if (!$pid) {
        eventually(sub { (eval { slurp($file) } || '') =~ /"drain"/ });
        # httpd knows what the file says
        eventually(sub { $httpd->get('/1.1/u/info/collections')->status == 503 });
        $code->($file);
        POSIX::_exit(0);
    }
    my $said = ctl($httpd, 1, 'maintenance', 'drain', '--wait', '60s');
    waitpid $pid, 0;
    return $said;
}

sub is_refused {
    my ($client, $name) = @_;
    $client->send('67890');
    is $client->response->status, 503, $name;
}

subtest 'WeaveMaintenance' => sub {
    my $httpd  = started();
    my $client = half_sent($httpd);
    $httpd->configure(qq(WeaveMaintenance On\nWeaveApp / "DIR/sync.ini"\n));
    $httpd->graceful;
    ok eventually(sub { $httpd->get('/')->status == 503 }), 'it is on by now';
    like ctl($httpd, 0, 'maintenance', 'drain', '--wait', '60s'),
        qr/^nothing is in Python any more$/m, 'and all is done';
    is_refused($client, 'so that nothing begins');
    like ctl($httpd, 0, 'maintenance'), qr/maintenance: on since .*\(weavectl/,
        'as what weavectl says is on, too';
    ok defined $httpd->stop, 'httpd stops';
};

subtest 'another maintenance.drain' => sub {
    my $httpd  = started("[maintenance]\nstyle = sync\ndrain = 600\n");
    my $client = half_sent($httpd);
    my @old    = $httpd->serving;
    $httpd->write('sync.ini',
        slurp($httpd->dir . '/sync.ini') =~ s/^drain = 600/drain = 1/mr);
    $httpd->graceful;
    ok eventually(sub {
        my %old = map { $_ => 1 } @old;
        grep { !$old{$_} } $httpd->serving;
    }), 'there are others';
    ctl($httpd, 0, 'maintenance', 'drain', '--message', 'back soon', '--wait', '60s');
    is_refused($client, 'nothing begins');
    my $res = $httpd->request('GET', '/', headers => [Accept => 'text/html']);
    like $res->body, qr/back soon/, 'what was said with the drain is still said';
    ctl($httpd, 0, 'maintenance', 'off');
    is $httpd->get('/')->status, 200, 'until it is taken back';
    ok defined $httpd->stop, 'httpd stops';
};

for my $case (['has gone', sub { unlink $_[0] or die $! }],
              ['is damaged', sub { spew($_[0], '{"version": 1, "ent') }]) {
    my ($what, $damage) = @$case;
    subtest "a state file that $what meanwhile" => sub {
        my $httpd = started("[maintenance]\nstyle = sync\ndrain = 3\n",
            expect => qr/WEAVE015[12]/);
        my $said  = meanwhile($httpd, $damage);
        like $said, qr/--wait: .*maintenance\.json $what/, 'is said';
        unlike $said, qr/nothing is in Python/, 'and nothing that is not known';
        # a child that has read it before still has the drain, until that is over
        ok eventually(sub { $httpd->get('/')->status == 503 }),
            'it is on all the same';
        ok defined $httpd->stop, 'httpd stops';
    };
}

subtest 'somebody else meanwhile' => sub {
    my $httpd = started("[maintenance]\nstyle = sync\ndrain = 600\n");
    my $said  = meanwhile($httpd, sub {
        weavectl($httpd, '-s', $httpd->state, 'maintenance', 'backoff');
    });
    like $said, qr/--wait: .* is backoff, and not to become on/,
        'is the one who holds';
    like ctl($httpd, 0, 'maintenance'), qr/maintenance: backoff/, 'it stays so';
    ok defined $httpd->stop, 'httpd stops';
};

finish;
