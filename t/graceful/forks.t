# SPDX-License-Identifier: Apache-2.0
#
# Processes that an embedded application forks: they end where their parent
# answers, whatever they do, and nobody else notices.

use strict;
use warnings FATAL => 'all';
use Test::More;
use WeaveTest;
use WeaveTest::Httpd ();
use WeaveTest::Workers qw($STACKS);

my $httpd = WeaveTest::Httpd->new(
    mode   => 'embedded',
    script => 'misbehaving',
    expect => qr/WEAVE0040|SystemExit|$STACKS/);
$httpd->start;

for my $path (qw(fork_and_answer fork_and_raise fork_and_exit)) {
    subtest $path => sub {
        my $client = $httpd->client;
        my $res    = $client->request('GET', "/$path");
        is $res->status, 200, 'answered';
        like $res->body, qr/^\d+\b/, 'by the parent';
        my ($child) = $res->body =~ /^(\d+)/;
        ok eventually(sub {
            (eval { slurp("/proc/$child/stat") } || 'gone) Z ') =~ /\) Z /;
        }), 'the child ends';
        $res = $client->request('GET', "/$path");
        like $res->body, qr/^\d+\b/, 'once: the connection goes on';
    };
}

ok defined $httpd->stop, 'httpd stops';
$httpd->no_crash;

# It waited for ever, as a second child that nobody had started.
subtest 'at import' => sub {
    my $httpd = WeaveTest::Httpd->new(
        expect => qr/SystemExit: 7|WEAVE0047|$STACKS/,
        app    => <<'END');
import os
import sys

pid = os.fork()
if pid == 0:
    sys.exit(7)


def application(environ, start_response):
    start_response("200 OK", [])
    return [b"%d" % pid]
END
    $httpd->start;
    my $res = $httpd->get('/');
    like $res->body, qr/^\d+$/, 'the parent serves' or return;
    my ($child) = $res->body =~ /(\d+)/;
    ok eventually(sub {
        (eval { slurp("/proc/$child/stat") } || 'gone) Z ') =~ /\) Z /;
    }), 'the child ends';
    ok defined $httpd->stop, 'httpd stops';
    $httpd->no_crash;
};

finish;
