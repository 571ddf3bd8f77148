# SPDX-License-Identifier: Apache-2.0
#
# From the moment `weavectl maintenance on` returns, httpd admits no request any
# more, also where it has come before: in an upload, waiting for the application
# to come up. What was admitted, and waits in a queue or for the GIL, runs and
# is not cut; --wait waits for it.

use strict;
use warnings FATAL => 'all';
use Test::More;
use JSON::PP ();
use Time::HiRes qw(sleep);
use WeaveTest;
use WeaveTest::Httpd ();
use WeaveTest::Maintenance;
use WeaveTest::Rogue ();
use WeaveTest::Workers;

my $app = $GATES . <<'END';
from weave_test import case, note, query


def application(environ, start_response):
    name = case(environ)
    note(environ, "in")
    if name in ("hold", "sleep"):  # with the GIL, and without
        stands_at(query(environ)["gate"], name == "hold")
    elif name == "read":
        environ["wsgi.input"].read()
    start_response("200 OK", [("Content-Length", "4")])
    return [b"fine"]
END
my $httpd = new_httpd(
    mode    => '',
    app     => $app,
    workers => "processes = 1\nthreads = 1\n",
    limits  => "queue_timeout = 60\n",
    conf    => $WeaveTest::Rogue::ONE_CHILD . <<'END');
WeaveSet maintenance.style sync
WeaveSet maintenance.drain 2
WeaveApp /one "DIR/sync.ini"
WeaveApp /two "DIR/two.ini"
<Location /one/stream>
    WeaveSet wsgi.stream_input true
</Location>
END
my $ini = slurp($httpd->dir . '/sync.ini');
$httpd->write('two.ini', $ini =~ s/^\[workers\]\n/[workers]\nmode = embedded\n/mr);
$httpd->start;
ok eventually(sub { workers($httpd, qr/sync\.ini/) == 1 }), 'it runs';
is $httpd->get('/two/who')->status, 200, 'in httpd, too';

sub says {
    my @args = @_;
    my ($exit, $text) = weavectl($httpd, 'maintenance', @args);
    is $exit, 0, "maintenance @args" or diag $text;
}

# A request that has been sent.
sub asks {
    my $target = shift;
    my ($client, $note) = ($httpd->client, new_note());
    $client->send(WeaveTest::Client::format_request(
        'POST', $target, note => $note, close => 1, body => 'x'));
    return [$client, $note, $target];
}

# What was asked is answered STATUS, and Python has seen it, or not.
sub ends {
    my ($asked, $status) = @_;
    my ($client, $note, $target) = @$asked;
    my $res = $client->response;
    is $res->status, $status, "$target: $status";
    is $res->header('X-Weave-Maintenance'), $status == 503 ? 1 : undef,
        'with the reason';
    is scalar(my @in = notes($note)), $status == 503 ? 0 : 1,
        'and so it is in Python';
}

# SLOW keeps Python busy until the gate is opened; the TARGETS cannot start before.
sub behind {
    my ($slow, @targets) = @_;
    my $gate = gate($httpd);
    my ($busy) = in_flight($httpd, 'GET', "$slow?gate=$gate->{name}");
    is_at($gate);
    my @asked = map { asks($_) } @targets;
    requests_are($httpd, $slow =~ /one/ ? qr/sync\.ini/ : qr/two\.ini/, 1 + @asked);
    return ($busy, $gate, @asked);
}

for my $where (
    ['a queue', '/one/sleep', qw(/one/who /one/read /one/stream/read)],
    ['the GIL', '/two/hold', qw(/two/who /two/read)],
) {
    my ($what, $slow, @targets) = @$where;
    next if $what eq 'the GIL' && mpm() eq 'prefork'; # everybody has one
    subtest "who waits for $what" => sub {
        my ($busy, $gate, @asked) = behind($slow, @targets);
        says('on');
        is $httpd->get($targets[0])->status, 503, 'a new one';
        my ($exit, $text) = weavectl($httpd, qw(maintenance on --wait 1s));
        my $count = 1 + @asked;
        is $exit, 1, '--wait waits';
        like $text, qr/still in Python: $count\b/, 'for what was admitted';
        opens($gate);
        is $busy->response->status, 200, 'what runs is not cut';
        ends($_, 200) for @asked;
        says('on', '--wait', '60s');
        says('off');
        is $httpd->get($targets[0])->status, 200, 'and on it goes';
    };
    subtest "$what, and a drain that becomes on" => sub {
        says('drain');
        my ($busy, $gate, @asked) = behind($slow, @targets);
        ok eventually(sub {
            (weavectl($httpd, 'maintenance'))[1] !~ /maintenance: drain/;
        }), 'on';
        opens($gate);
        is $busy->response->status, 200, 'what runs is not cut';
        ends($_, 200) for @asked;
        says('off');
    };
}

subtest 'an upload' => sub {
    my ($client, $note) = ($httpd->client, new_note());
    my $text = WeaveTest::Client::format_request('POST', '/one/read',
        note => $note, close => 1, body => 'x' x 1000);
    $client->send(substr $text, 0, -500);
    sleep 0.3;
    says('on');
    $client->send(substr $text, -500);
    ends([$client, $note, '/one/read'], 503);
    says('off');
};

is $httpd->get('/one/who')->status, 200, 'all is well';
ok defined $httpd->stop, 'httpd stops';
$httpd->no_crash;

# It goes on to import until DIR/go is there.
my $SLOW = <<'END';
import os
import time

while not os.path.exists(os.path.join(os.path.dirname(__file__), "go")):
    time.sleep(0.05)


def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"served\n"]
END

for my $mode (modes()) {
    subtest "who waits for the application, $mode" => sub {
        my $httpd;
        my $client = in_time(3, sub {
            my $waits = shift;
            $httpd = WeaveTest::Httpd->new(
                mode => $mode, app => $SLOW,
                more => "[limits]\nstartup_timeout = $waits\n"
                    . "[maintenance]\nstyle = sync\nspread = 0\n",
                expect => qr/WEAVE0080/);
            $httpd->start;
            my $asks = $httpd->client;
            $asks->send(WeaveTest::Client::format_request('GET', '/1.1/x'));
            sleep 0.3;
            ctl($httpd, 0, 'maintenance', 'on', '--retry-after', '1h');
            return $asks;
        });
        is_refusal($client->response, 'is told how long it lasts',
            retry => 3600, body => $STORAGE);
        my $counters = JSON::PP->new->decode(
            ctl($httpd, 0, 'status', '--json'))
            ->{applications}[0]{maintenance}{counters};
        is $counters->{refused}{maintenance}, 1, 'and counted for that';
        spew($httpd->dir . '/go', '');
        ok defined $httpd->stop, 'httpd stops';
    };
}

finish;
