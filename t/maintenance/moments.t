# SPDX-License-Identifier: Apache-2.0
#
# Maintenance that begins while a request waits, and what else a review has
# found in the answers.

use strict;
use warnings FATAL => 'all';
use Test::More;
use JSON::PP ();
use Time::HiRes qw(sleep);
use WeaveTest;
use WeaveTest::Httpd ();
use WeaveTest::Maintenance;
use WeaveTest::Workers qw(weavectl);

my $HTML = [Accept => 'text/html'];

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

subtest 'two that are as strict' => sub {
    my $httpd = paused('On', set => ['retry_after 77']);
    ctl($httpd, 0, 'maintenance', 'on', '--for', '30m', '--message', 'Back at <4>');
    like $httpd->get('/', headers => $HTML)->body, qr/Back at &lt;4&gt;/,
        'the message is that of the one which has one';
    ctl($httpd, 1, 'maintenance', 'off');
    ctl($httpd, 0, 'maintenance', 'drain', '--message', 'Soon');
    like $httpd->get('/', headers => $HTML)->body, qr/Soon/,
        'if need be of a weaker one';
};

subtest 'answers' => sub {
    my $httpd = paused('', mount => qq(WeaveApp /sync "DIR/sync.ini"\n),
        expect => qr/AH01617|AH01618/, conf => <<"END");
ErrorDocument 401 /sync/1.1/login
<Location /private>
$ASKS</Location>
END
    $httpd->write('passwords', '');
    ok $httpd->get('/private')->header('WWW-Authenticate'), 'who is asked who he is';
    ctl($httpd, 0, 'maintenance', 'on', '--for', '90d');
    is_refusal($httpd->get('/private'), 'is not where that comes to us',
        body => $STORAGE, retry => 604_800);
    is_refusal($httpd->get("/sync/token/1.0/sync/1.5$_"), "a token, '$_'",
        body => $TOKEN, retry => 604_800) for '', '/', '//';
};

finish;
