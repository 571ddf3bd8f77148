# SPDX-License-Identifier: Apache-2.0
#
# A body that httpd refuses, and one that nobody waits for. Each subtest names
# what went wrong before.

use strict;
use warnings FATAL => 'all';
use Test::More;
use WeaveTest;
use WeaveTest::Client ();
use WeaveTest::H2 ();
use WeaveTest::Httpd ();

my $httpd = WeaveTest::Httpd->new(
    script => 'refused_body',
    conf   => <<'END',
<IfModule http2_module>
    Protocols h2c http/1.1
</IfModule>
LimitRequestBody 1000
ErrorDocument 413 "httpd's own words for 413"
WeaveApp / "DIR/sync.ini"
<Location /unlimited>
    LimitRequestBody 0
</Location>
<Location /streamed>
    WeaveSet wsgi.stream_input true
</Location>
END
    expect => qr/AH01587|AH01588|larger than the configured limit/,
);
$httpd->start;
my $words = "httpd's own words for 413";

# The small one came as an empty body; behind httpd's page for the large one
# stood a second one, or the answer of the application.
subtest 'LimitRequestBody' => sub {
    for my $case (qw(reads answers_all_the_same)) {
        for my $size (1001, 5000, 70_000) {
            my $note   = new_note();
            my $client = $httpd->client;
            $client->send(WeaveTest::Client::format_request('POST', "/$case",
                body => 'x' x $size, note => $note, close => 1));
            my $res = $client->response;
            is $res->status, 413, "$case, $size bytes: 413";
            is $res->body, $words, 'with the page of httpd';
            is $client->drain, '', 'and nothing behind it';
            my @notes = notes($note);
            is_deeply \@notes, [], 'the application is not asked'
                if $size < 65_536;
            is scalar(grep { /^read/ } @notes), 0, 'nor given an end of input';
        }
    }
    is $httpd->request('POST', '/reads', body => 'x' x 1000)->body,
        '1000 bytes', 'as large as allowed is read';
};

SKIP: {
    skip 'no HTTP/2 on prefork', 1 if mpm() eq 'prefork';
    # It was a reset of the stream, without a status.
    subtest 'LimitRequestBody over HTTP/2' => sub {
        my $h2 = WeaveTest::H2->new(port => $httpd->port);
        my $id = $h2->start('GET', '/answers_at_once');
        my $first = $h2->response($id);
        plan skip_all => 'no mod_http2 here' unless $first->{status};
        my $res = $h2->request('POST', '/reads', body => 'x' x 5000);
        is $res->{body}, $words, 'the page of httpd';
        ok $res->{complete}, 'and its end';
        is $h2->request('GET', '/answers_at_once')->{body}, 'no need of it',
            'the connection goes on';
    };
}

# It was taken for the broken body: no traceback, and nothing to find the
# error of the application by.
subtest 'an exception of its own after a refused body' => sub {
    my ($log, $res);
    $log = $httpd->logged(qr/PermissionError/, sub {
        $res = $httpd->request('POST', '/streamed/fails_on_its_own',
            chunked => ['x' x 600, 'x' x 600]);
    });
    like $res->status, qr/^(?:413|500)$/, 'an error for the client';
    like $log, qr/Traceback/, 'the traceback is logged';
    like $log, qr/PermissionError: an error of its own/, 'with its exception';
};

# It stayed in httpd until the rest of the body had come.
subtest 'an answer before the end of the body' => sub {
    my $client = $httpd->client;
    $client->send("POST /unlimited/answers_at_once HTTP/1.1\r\nHost: x\r\n"
            . "Content-Length: 100000\r\n\r\n" . 'x' x 1000);
    ok $client->readable(15), 'leaves before it';
    is $client->response->body, 'no need of it', 'whole';
    $client->send('x' x 99_000
            . WeaveTest::Client::format_request('GET', '/answers_at_once',
            close => 1));
    is $client->response->body, 'no need of it',
        'and the connection goes on after the body';
};

ok defined $httpd->stop, 'it stops';
$httpd->no_crash;
finish;
