# SPDX-License-Identifier: Apache-2.0
#
# A bad sync.ini never stops a running server (DESIGN, section 4).

use strict;
use warnings FATAL => 'all';
use Test::More;
use WeaveTest;
use WeaveTest::Httpd ();
use WeaveTest::Workers qw(weavectl);

my $app = <<'END';
import os
def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    with open(os.environ["WEAVE_INI"]) as stream:
        text = stream.read()
    return [environ["SHOWN"].encode(), b"|",
            b"storage" if "[storage]" in text else b"nothing"]
END

my $httpd = WeaveTest::Httpd->new(app => $app,
    more => "environ.SHOWN = first\n[storage]\nsqluri = sqlite://\n");
my $good = slurp($httpd->dir . '/sync.ini');
$httpd->start;
is $httpd->get('/')->body, 'first|storage', 'it runs';

my $generation = 1;

sub graceful {
    $generation++;
    ok $httpd->renew, 'all children are new';
    ok eventually(sub {
        (() = $httpd->log_text =~ /resuming normal operations/g)
            >= $generation;
    }), 'httpd goes on';
}

sub goes_on {
    my ($name, $want, $change) = @_;
    subtest $name => sub {
        my $log = $httpd->logged($want, sub { $change->(); graceful() });
        like $log, $want, 'the error log says what is wrong';
        like $log, qr/^weave:error WEAVE0013/m, 'and what that means';
        is $httpd->get('/')->body, 'first|storage',
            'the application has what it had' for 1 .. 4;
        my $status = (weavectl($httpd, '-s', $httpd->state, 'status'))[1];
        like $status, qr/^  outdated: httpd could not take .*: WEAVE\d+: ./m,
            'status says so' or diag $status;
        (my $ini = $httpd->dir) .= '/sync.ini';
        spew($ini, $good);
        $httpd->quiet('after it');
    };
}

my $ini = $httpd->dir . '/sync.ini';
goes_on 'an unknown key', qr/^weave:error .*sync\.ini:\d+.*skript/m,
    sub { spew($ini, "[wsgi]\nskript = x\n") };
goes_on 'a file that is gone', qr/^weave:error .*sync\.ini/m,
    sub { unlink $ini };
goes_on 'no ini at all', qr/^weave:error .*sync\.ini:1/m,
    sub { spew($ini, "{\"json\": true}\n") };
goes_on 'a virtualenv that is gone', qr{^weave:error .*/nowhere}m,
    sub { spew($ini, $good =~ s/^virtualenv = .*/virtualenv = \/nowhere/mr) };
goes_on 'a mode that there is not', qr/^weave:error .*processes/m,
    sub { spew($ini, "${good}[workers]\nmode = threads\n") };

subtest 'twice in a row' => sub {
    spew($ini, "[wsgi]\nskript = x\n");
    $httpd->logged(qr/WEAVE0013/, \&graceful) for 1 .. 2;
    is $httpd->get('/')->body, 'first|storage', 'still what it had';
};

subtest 'mended' => sub {
    spew($ini, $good =~ s/first/second/r);
    $httpd->log->unexpected;
    graceful();
    ok eventually(sub { $httpd->get('/')->body eq 'second|storage' }),
        'the new file counts';
    my @status = ('-s', $httpd->state, 'status');
    unlike +(weavectl($httpd, @status))[1], qr/outdated/, 'status has no more';
    spew($ini, $good);
    like +(weavectl($httpd, @status))[1],
        qr/^  outdated: .* has changed since httpd has read it/m,
        'until it is written again';
    $httpd->quiet;
};

ok defined $httpd->stop, 'it stops';
$httpd->no_crash;
$httpd->quiet('at the end');
finish;
