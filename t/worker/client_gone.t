# SPDX-License-Identifier: Apache-2.0
#
# A request whose client has left is taken out of the queue of its worker. The
# one thread of that is held until the test lets it go: no time decides who
# waits.

use strict;
use warnings FATAL => 'all';
use Test::More;
use WeaveTest;
use WeaveTest::H2 ();
use WeaveTest::Workers;

# In prefork mod_http2 serves one stream at a time, if at all; for HTTP/1 see
# queue.t.
plan skip_all => 'needs a child with many threads' if mpm() eq 'prefork';

my $httpd = new_httpd(
    workers => "processes = 1\nthreads = 1\n",
    limits  => "queue_timeout = 100\n",
    conf    => <<'END');
WeaveApp / "DIR/sync.ini"
<IfModule http2_module>
    Protocols h2c http/1.1
</IfModule>
StartServers 1
ServerLimit 1
ThreadsPerChild 100
MaxRequestWorkers 100
MinSpareThreads 1
MaxSpareThreads 100
END
serves($httpd, 1);

sub h2 { return WeaveTest::H2->new(port => $httpd->port) }

# Asserts that nobody waits or runs when all have gone and the worker goes on.
sub nobody_runs {
    my ($note, $busy, $go) = @_;
    queue_is($httpd, 0, 'and none of them waits on');
    spew($go, '');
    is $busy->response->status, 200, 'who was first is answered';
    is $httpd->get('/who')->status, 200, 'others are, too';
    return is scalar(() = notes($note)), 0,
        'nobody has begun with those who left';
}

subtest '60 clients that reset their connections' => sub {
    my ($busy, $go) = hold($httpd);
    my $note    = new_note();
    my @clients = map { $httpd->client } 1 .. 60;
    $_->send(WeaveTest::Client::format_request('GET', '/who', note => $note))
        for @clients;
    queue_is($httpd, 60, 'requests wait');
    $_->close(1) for @clients;
    nobody_runs($note, $busy, $go);
};

# Twelve connections with five requests each: they wait in the queue, as many
# as mod_http2 runs at once, and then their clients leave.
my %ways = (
    'resets its streams' => sub {
        my ($h2, @ids) = @_;
        $h2->reset_stream($_) for @ids;
    },
    'closes its connection'  => sub { $_[0]->close },
    'resets its connection'  => sub { $_[0]->close(1) },
);
for my $name (sort keys %ways) {
    last if !h2()->request('GET', '/who')->{status};    # no mod_http2 here
    subtest "a client that $name" => sub {
        my ($busy, $go) = hold($httpd);
        my ($note, %ids) = (new_note());
        my @clients = map { h2() } 1 .. 12;
        for my $h2 (@clients) {
            $ids{$h2} = [map { $h2->start('GET', '/who', note => $note) } 1 .. 5];
        }
        ok eventually(sub { (first_worker($httpd)->{queued} || 0) >= 24 }), 'requests wait';
        $ways{$name}->($_, @{ $ids{$_} }) for @clients;
        nobody_runs($note, $busy, $go);
    };
}

ok defined $httpd->stop, 'httpd stops';
finish;
