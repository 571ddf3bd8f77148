# SPDX-License-Identifier: Apache-2.0
#
# Requests with a body over HTTP/2 that are answered without it: it is read
# first, because an end of the stream before that resets it, and curl and others
# report the reset and not the 503.

use strict;
use warnings FATAL => 'all';
use Test::More;
use WeaveTest;
use WeaveTest::H2 ();
use WeaveTest::Httpd ();
use WeaveTest::Maintenance;
use WeaveTest::Workers qw($GATES gate is_at opens);

plan skip_all => 'prefork: mod_http2 serves one stream at a time, if at all'
    if mpm() eq 'prefork';

my $PATH = '/1.1/u/storage/bookmarks';
my $BIG  = 200_000;    # more than what a server takes that does not read
my $H2   = <<'END';
<IfModule http2_module>
    Protocols h2c http/1.1
</IfModule>
END

# What httpd has to say of bodies that are larger than they may be.
my $LIMIT = qr/AH01587|AH01588|AH01591|configured limit/;

# ?gate waits there, without reading; ?raise and ?die do not answer; ?include
# has a part that nobody may have, and then reads.
my $app = $GATES . <<'END';
def application(environ, start_response):
    name, _, value = environ["QUERY_STRING"].partition("=")
    if name == "raise":
        raise RuntimeError("no answer")
    if name == "die":
        os._exit(1)
    if name == "gate":
        stands_at(value)
    start_response("200 OK", [("Content-Type", "text/plain")])
    if name == "include":
        yield b'[<!--#include virtual="/part/" -->] '
        yield b"read %d" % len(environ["wsgi.input"].read())
    else:
        yield b"no need of it"
END

# The client holds its server: that ends when nobody does.
sub h2 {
    my $httpd = shift;
    my $h2    = WeaveTest::H2->new(port => $httpd->port);
    $h2->{server} = $httpd;
    return $h2;
}

# A client in the middle of an upload of SIZE sees the BODY of the answer, to
# its end, and no reset behind it; and nothing of it before: a client that has a
# whole answer may read on no more (curl), and never learn that it may go on with
# its body.
sub sees {
    my ($h2, $path, $size, $body, $name, %opt) = @_;
    my $id = $h2->start($opt{method} || 'POST', $path, open => 1,
        headers => $opt{announced} ? ['content-length' => $size] : []);
    my $stream = $h2->stream($id);
    my $sent   = $h2->upload($id, 'x' x $size);
    is $stream->{status}, 0, "$name: nothing yet";
    ok $sent && $h2->upload($id, '', 1), "$name: $size bytes can be sent";
    $h2->response($id);
    $h2->settle;
    ref $body ? like($stream->{body}, $body, 'the answer')
        : is($stream->{body}, $body, 'the answer');
    return ok $stream->{complete}, 'and no reset';
}

sub sees_all {
    my ($h2, $path, $body, $name) = @_;
    for my $size (0, 5, 60_000, $BIG) {
        for my $announced (0, 1) {
            sees($h2, $path, $size, $body, $name, announced => $announced);
        }
    }
    return sees($h2, $path, 3 << 20, $body, $name, method => 'PUT');
}

my $probe = paused('On', conf => $H2);
plan skip_all => 'no mod_http2 here'
    unless h2($probe)->request('GET', $PATH)->{body} eq $STORAGE;

for my $mode (modes()) {
    for my $stream (qw(false true)) {
        my $more = "stream_input = $stream\n";
        subtest "maintenance, $mode, stream_input = $stream" => sub {
            my $h2 = h2(paused('On', mode => $mode, more => $more,
                conf => $H2));
            sees_all($h2, $PATH, $STORAGE, 'refused');
        };
        subtest "nothing runs, $mode, stream_input = $stream" => sub {
            my $httpd = paused('', mode => $mode, conf => $H2, more => $more,
                app => "raise RuntimeError('none')\n", script => undef,
                expect => qr/WEAVE|RuntimeError|Traceback|File "|^\s/);
            sees_all(h2($httpd), $PATH, $FAILURE, 'refused');
        };
    }
}

# Without stream_input the end of the body has been read by then.
for my $stream (qw(false true)) {
    subtest "the time in the queue is over, stream_input = $stream" => sub {
        my $httpd = paused('', mode => 'processes', conf => $H2, app => $app,
            script => undef, more => "stream_input = $stream\n"
            . "[workers]\nprocesses = 1\nthreads = 1\n"
            . "[limits]\nqueue_timeout = 1\n");
        my $gate = gate($httpd);
        my $busy = $httpd->client;
        $busy->send("GET /x?gate=$gate->{name} HTTP/1.1\r\nHost: x\r\n\r\n");
        is_at($gate);
        sees(h2($httpd), $PATH, $BIG, $FAILURE, 'refused');
        opens($gate);
        is $busy->response->status, 200, 'who was first is served';
    };
}

my $httpd = paused('On', conf => "$H2\nTimeout 3\nLimitRequestBody 1000\n",
    expect => $LIMIT);

subtest 'LimitRequestBody' => sub {
    my $h2 = h2($httpd);
    for my $announced (0, 1) {
        sees($h2, $PATH, $_, $STORAGE, 'too much', announced => $announced)
            for 1001, 5000, $BIG, 3 << 20;
    }
};

subtest 'a client that sends no more' => sub {
    my $h2 = h2($httpd);
    my $id = $h2->start('POST', $PATH, open => 1);
    ok $h2->upload($id, 'x' x 500), 'half of it';
    is $h2->response($id)->{body}, $STORAGE, 'is answered after Timeout';
    is $h2->request('GET', $PATH)->{body}, $STORAGE,
        'and the connection goes on';
};

subtest 'Expect: 100-continue' => sub {
    my $h2 = h2($httpd);
    my $id = $h2->start('POST', $PATH, open => 1, headers =>
        [expect => '100-continue', 'content-length' => 500]);
    is $h2->response($id)->{body}, $STORAGE, 'is answered at once';
};

# httpd answers, or mod_weave in the words of Sync.
my %FAILED = (
    plain => [qr/Internal Server Error/, qr/Bad Gateway/],
    sync  => [$FAILURE, $FAILURE]);

for my $mode (modes()) {
    for my $style (sort keys %FAILED) {
        subtest "an application that does not answer, $mode, $style" => sub {
            my $served = paused('', mode => $mode, conf => $H2, app => $app,
                script => undef, more => "stream_input = true\n",
                set    => ["style $style"],
                expect => qr/RuntimeError|Traceback|File "|^\s|WEAVE/);
            my $h2 = h2($served);
            my ($raised, $died) = @{ $FAILED{$style} };
            sees_all($h2, '/x?raise', $raised, '500');
            sees($h2, '/x?die', $BIG, $died, '502') if $mode eq 'processes';
        };
    }

    # The part took the body of the page.
    subtest "a refusal in an answer, $mode" => sub {
        my $served = paused('', mode => $mode, app => $app, script => undef,
            more => "stream_input = true\n", conf => $H2 . <<'END');
<Location /page>
    Options +Includes
    SetOutputFilter INCLUDES
</Location>
<Location /part>
    WeaveMaintenance On
</Location>
END
        my $h2 = h2($served);
        my $id = $h2->start('POST', '/page?include', open => 1);
        ok $h2->upload($id, 'x' x $BIG, 1), 'its body can be sent';
        is $h2->response($id)->{body}, "[$STORAGE] read $BIG",
            'the application has read it';
    };
}

finish;
