# SPDX-License-Identifier: Apache-2.0
#
# A weaved that answers nothing, as one that somebody has stopped: httpd goes on,
# also through a graceful, and replaces it.

use strict;
use warnings FATAL => 'all';
use Test::More;
use WeaveTest;
use WeaveTest::Workers;

my $httpd = new_httpd(
    conf   => 'WeaveApp /app "DIR/sync.ini"',
    expect => qr/WEAVE0131|WEAVE0173/);
my @first = serves($httpd);
my $weaved = status($httpd)->{pid};
my $before = generation($httpd);

sub answers {
    my $when = shift;
    is $httpd->get('/app/who')->status, 200, "the application answers $when";
    is $httpd->get('/plain.txt')->status, 200, "and so do files $when";
}

kill STOP => $weaved;
answers('without weaved');
for my $round (1, 2) {
    $httpd->write('sync.ini', slurp($httpd->dir . '/sync.ini') =~ s/^threads = .*/threads = $round/mr);
    ok $httpd->renew, "graceful $round";
    answers("after graceful $round");
}
is_deeply [grep { !kill 0, $_ } @first], [], 'by the same workers';

ok eventually(sub { $httpd->log_text =~ /WEAVE0173: weaved \(pid $weaved\)/ }, 150),
    'that it answers nothing is noticed';
ok eventually(sub { $httpd->log_text =~ /WEAVE0132/ }), 'another one takes over';
ok gone($weaved), 'it is gone';
ok eventually(sub { generation($httpd) > $before && workers($httpd) == 2 }),
    'and does what was wanted meanwhile';
isnt status($httpd)->{pid}, $weaved, 'as another process';
answers('then');
unlike $httpd->log_text, qr/WEAVE0130/, 'nothing else is said';

subtest 'an application that it does not know yet' => sub {
    my $weaved = status($httpd)->{pid};
    kill STOP => $weaved;
    $httpd->write('new.ini', slurp($httpd->dir . '/sync.ini'));
    $httpd->configure(qq{WeaveApp /app "DIR/sync.ini"\nWeaveApp /new "DIR/new.ini"});
    ok $httpd->renew, 'is added by graceful';
    my $client = $httpd->client;
    $client->send("GET /new/who HTTP/1.1\r\nHost: localhost\r\n\r\n");
    ok !$client->readable(0.5), 'its requests wait, as for a worker that starts';
    answers('meanwhile');
    kill CONT => $weaved;
    is $client->response->status, 200, 'and are answered when it is there';
};

subtest 'httpd stops without it' => sub {
    my @all = descendants($httpd->pid);
    kill STOP => status($httpd)->{pid};
    ok defined $httpd->stop, 'it does';
    ok gone($_), 'nobody is left' for @all;
};
finish;
