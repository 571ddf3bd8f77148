# SPDX-License-Identifier: Apache-2.0
#
# What an application says when its answer is complete: lines of close() came
# without the client, and in the log of another virtual host.

use strict;
use warnings FATAL => 'all';
use Socket qw(SOL_SOCKET SO_LINGER);
use Test::More;
use WeaveTest;
use WeaveTest::Httpd ();

my @LINES = (
    'error close() says something', 'warn close() logs something',
    'error close() does not end its line',
    'error WEAVE0045: close() of the application\'s iterable failed',
    'error RuntimeError: close() fails as well',
    'error the end of the environ');

for my $mode (qw(processes embedded)) {
    my $httpd = WeaveTest::Httpd->new(
        mode   => $mode,
        script => 'closing',
        expect => qr/WEAVE0045|a thread/,
        conf   => <<'END');
WeaveApp / "DIR/sync.ini"
<VirtualHost *>
    ServerName localhost
</VirtualHost>
<VirtualHost *>
    ServerName named
    ErrorLog "DIR/named_log"
    ErrorLogFormat "%l %-a %M"
</VirtualHost>
END
    $httpd->start;
    my $file = $httpd->dir . '/named_log';
    my %bodies = (one => 'abc', several => 'abc', none => '', large => 'x' x 1000000,
        file => slurp(root() . '/apps/closing.wsgi'), other_file => 'abc');
    for my $case (sort keys %bodies) {
        subtest "$mode: $case" => sub {
            my $before = -s $file;
            my $client = $httpd->client;
            my $res = $client->request('GET', "/$case", host => 'named');
            is $res->body, $bodies{$case}, 'the answer';
            my $from = $client->{socket}->sockhost . ':' . $client->{socket}->sockport;
            my $new;
            ok eventually(sub {
                $new = substr slurp($file), $before;
                return $new =~ /end of the environ/;
            }), 'all is said';
            for my $line (@LINES) {
                my ($level, $text) = split / /, $line, 2;
                like $new, qr/^$level \Q$from $text\E$/m, $text;
            }
        };
    }
    my $log = $httpd->log_text;
    unlike $log, qr/close\(\)|environ/, "$mode: nothing of it in the other log";
    is scalar(() = $log =~ /a thread/g), scalar keys %bodies,
        "$mode: but what their threads say";
    # a worker says it itself then, as httpd's child has ended the request
    $httpd->log->expect(qr/./);
    subtest "$mode: a client that leaves" => sub {
        my $client = $httpd->client;
        my $from = $client->{socket}->sockhost . ':' . $client->{socket}->sockport;
        $client->send("GET /endless HTTP/1.1\r\nHost: named\r\n\r\n");
        ok $client->readable(60), 'it gets a part';
        setsockopt $client->{socket}, SOL_SOCKET, SO_LINGER, pack 'ii', 1, 0;
        $client->close;
        my $want = $mode eq 'embedded' ? qr/^error \Q$from\E the end of/m
            : qr/\[weave:error\] \[pid \d+:tid \d+\] \[client \Q$from\E\] the end of/;
        ok eventually(sub {
            slurp($mode eq 'embedded' ? $file : $httpd->dir . '/error_log') =~ $want
        }), 'what is said has its address';
    };
    ok defined $httpd->stop, 'httpd stops';
}

finish;
