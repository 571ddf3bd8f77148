# SPDX-License-Identifier: Apache-2.0
#
# maintenance.style = sync: what mod_weave answers where the application fails
# (500, 502, 504) has the headers and the body that Sync clients read, and is no
# maintenance.

use strict;
use warnings FATAL => 'all';
use Test::More;
use WeaveTest;
use WeaveTest::H2 ();
use WeaveTest::Httpd ();
use WeaveTest::Maintenance;
use WeaveTest::Modules ();
use WeaveTest::Workers;

my $APP = <<'END';
import os
import time


def application(environ, start_response):
    what = environ["QUERY_STRING"]
    if what == "dies":
        os._exit(7)
    if what == "raises":
        raise RuntimeError("on purpose")
    if what == "hangs":
        time.sleep(600)
    short = what == "short"
    length = [("Content-Length", "900")] if short else []
    start_response("200 OK", [("Content-Type", "text/html"), ("Content-Language", "en"),
                              ("Set-Cookie", "a=b")] + length)
    return [b"part"] if short else [b"ok"]
END

# The query, the status, and whether it may be sent again by GET: then two
# workers die.
my @FAILURES = (
    ['dies' => 502, 'POST'], ['raises' => 500, 'GET'],
    ['raises' => 500, 'POST'], ['short' => 502, 'GET'],
);

my $modules = WeaveTest::Modules::ask_apxs(conf_var('apxs'), 'LIBEXECDIR');
my $known   = slurp(root() . '/conf/modules.conf');
my $load    = join '', map { "LoadModule ${_}_module $modules/mod_$_.so\n" }
    grep { -e "$modules/mod_$_.so" && $known !~ /\b${_}_module\b/ } 'deflate', 'headers';

sub started {
    my ($style, $mode, %arg) = @_;
    my $httpd = WeaveTest::Httpd->new(
        app => $APP, mode => $mode,
        expect => qr/WEAVE00(?:4[0-2]|7[1-9]|99)|WEAVE0137|weave\.wsgi|$STACKS/,
        conf => <<"END", %arg);
$load
WeaveSet maintenance.style $style
WeaveSet maintenance.spread 0
WeaveSet limits.backoff 7
ErrorDocument 500 "the words of httpd"
ErrorDocument 502 "the words of httpd"
ErrorDocument 504 "the words of httpd"
<IfModule deflate_module>
    <Location /1.1/deflated>
        SetOutputFilter DEFLATE
    </Location>
</IfModule>
<IfModule headers_module>
    Header always set X-Always yes
</IfModule>
<IfModule http2_module>
    Protocols h2c http/1.1
</IfModule>
WeaveApp / "DIR/sync.ini"
END
    $httpd->log->allow_crash;
    $httpd->start;
    return $httpd;
}

for my $mode (modes()) {
    subtest $mode => sub {
        my $httpd = started('sync', $mode);
        my @more = $load =~ /headers/ || $known =~ /headers_module/ ? (more => ['X-Always']) : ();
        for my $failure (@FAILURES) {
            my ($what, $status, $method) = @$failure;
            next if $what eq 'dies' && $mode eq 'embedded';
            for my $place (grep { $_->[0] !~ /\?/ } @PLACES[0, 4, 6, 8, 11]) {
                my ($path, $body) = @$place;
                next if $what eq 'dies' && $path !~ m{^/1\.[15]/};
                my $res = $httpd->request($method, "$path?$what",
                    $method eq 'POST' ? (body => 'x' x 100_000) : ());
                is_failure $res, "$method $path $what: $status",
                    status => $status, body => $body, retry => 7, @more;
            }
        }
        my $res = $httpd->get('/1.1/deflated?short',
            headers => ['Accept-Encoding' => 'gzip']);
        is_failure $res, 'an answer that mod_deflate had kept', status => 502,
            body => $STORAGE, retry => 7, @more;
        my $client = $httpd->client;
        is $client->request('POST', '/1.1/u?short', body => 'x')->status, 502, 'a failure';
        is $client->request('GET', '/1.1/u')->body, 'ok', 'the connection goes on';
        $res = $httpd->get('/?raises', headers => [Accept => 'text/html']);
        is $res->status, 500, 'to a browser: a page';
        like $res->body, qr/<html/i, 'of our own';
        $res = $httpd->request('HEAD', '/1.1/u?raises');
        is_failure $res, 'HEAD', status => 500, body => $STORAGE, retry => 7, head => 1, @more;
        http2($httpd);
        ok defined $httpd->stop, 'httpd stops';
    };
}

sub http2 {
    my $httpd = shift;
    SKIP: {
        my $h2 = mpm() ne 'prefork' && WeaveTest::H2->new(port => $httpd->port);
        my $res = $h2 && $h2->request('GET', '/1.5/1/x?raises');
        skip 'no HTTP/2', 1 unless $res && $res->{status};
        is $res->{body}, $V15, 'HTTP/2';
        is $h2->request('POST', '/1.1/u?raises', body => 'x' x 60_000)->{body}, $FAILURE,
            'with a body';
        is $h2->request('GET', '/1.1/deflated?short')->{body}, $FAILURE, 'one that was kept';
    }
}

subtest 'over limits.request_timeout' => sub {
    plan skip_all => 'embedded has none' if mode() eq 'embedded';
    my $httpd = started('sync', 'processes',
        more => "[limits]\nrequest_timeout = 1\n[workers]\nprocesses = 1\n");
    my @more = $load =~ /headers/ || $known =~ /headers_module/ ? (more => ['X-Always']) : ();
    is_failure $httpd->get('/1.1/u/info/collections?hangs'), 'a request that hangs', status => 504,
        body => $STORAGE, retry => 7, @more;
    ok defined $httpd->stop, 'httpd stops';
};

subtest 'plain' => sub {
    my $httpd = started('plain', (modes())[-1]);
    my $res = $httpd->get('/1.1/u?raises');
    is $res->status, 500, 'the status';
    is $res->body, 'the words of httpd', 'httpd answers';
    has_no_backoff $res, 'without backoff';
    ok defined $httpd->stop, 'httpd stops';
};

finish;
