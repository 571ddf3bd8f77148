# SPDX-License-Identifier: Apache-2.0
#
# WeaveApp names a link that leads to the release of now. What weavectl has said
# of it goes on when the link moves; and a release that does not come up leaves
# the one before it.

use strict;
use warnings FATAL => 'all';
use Test::More;
use JSON::PP ();
use WeaveTest;
use WeaveTest::Httpd ();
use WeaveTest::Maintenance;
use WeaveTest::Workers qw(status);

my $APP = <<'END';
def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [environ["RELEASE"].encode()]
END

for my $mode (modes()) {
    subtest $mode => sub { releases($mode) };
}
finish;

# An httpd with DIR/r1 to DIR/r3, the last of which is broken.
sub released {
    my $mode  = shift;
    my $httpd = WeaveTest::Httpd->new(
        mode => $mode, app => $APP,
        conf => qq(WeaveApp /sync "DIR/current/sync.ini"\n),
        expect => qr/WEAVE00(?:01|13)/);
    my $ini = slurp($httpd->dir . '/sync.ini');
    for my $name (qw(r1 r2 r3)) {
        mkdir $httpd->dir . "/$name" or die "$name: $!";
        $httpd->write("$name/sync.ini", "${ini}environ.RELEASE = $name\n"
            . ($name eq 'r3' ? "[limits]\nno_such_key = 1\n" : ''));
    }
    return $httpd;
}

sub moves {
    my ($httpd, $name) = @_;
    my $link = $httpd->dir . '/current';
    symlink $name, "$link.new" or die "$link: $!";
    rename "$link.new", $link or die "$link: $!";
}

sub releases {
    my $mode  = shift;
    my $httpd = released($mode);
    my $ini   = $httpd->dir . '/current/sync.ini';
    my $serves = sub {
        my ($name, $why) = @_;
        my $res;
        ok eventually(sub {
            $res = $httpd->get('/sync/1.1/x');
            $res->status == 200 && $res->body eq $name;
        }), $why or diag $res->status . ' ' . $res->body;
    };
    moves($httpd, 'r1');
    $httpd->start;
    $serves->('r1', 'the first release');

    ctl($httpd, 0, 'maintenance', 'on', $ini);
    is $httpd->get('/sync/1.1/x')->status, 503, 'is in maintenance';
    my $file = JSON::PP->new->decode(slurp($httpd->state . '/maintenance.json'));
    is $file->{entries}[0]{ini}, $ini, 'the file has what WeaveApp says';
    moves($httpd, 'r2');
    like ctl($httpd, 0, 'maintenance', '-i', $ini), qr{/r1/sync\.ini:\n  maintenance: on},
        'which is meant, whatever it leads to by now';
    ctl($httpd, 0, 'maintenance', 'off', $ini);
    $serves->('r1', 'off');
    ctl($httpd, 0, 'maintenance', 'on', $ini, '--retry-after', 77);
    is $httpd->get('/sync/1.1/x')->status, 503, 'on again';
    ok $httpd->renew, 'a graceful';
    is $httpd->get('/sync/1.1/x')->status, 503, 'the next release is, too';
    like ctl($httpd, 0, 'maintenance', '-i', $ini), qr{/r2/sync\.ini:\n  maintenance: on},
        'and shown so';
    ok defined $httpd->stop, 'httpd stops';
    $httpd->start;
    is $httpd->get('/sync/1.1/x')->status, 503, 'a start changes nothing';
    ctl($httpd, 0, 'maintenance', 'off', $ini);
    $serves->('r2', 'off: the second release');

    moves($httpd, 'r1');
    ok $httpd->renew, 'back';
    $serves->('r1', 'to the first release');
    moves($httpd, 'r3');
    my $log = $httpd->logged(qr/WEAVE0013/, sub { $httpd->renew });
    like $log, qr{WEAVE0013: the application of \S+/r1/sync\.ini},
        'a release that does not come up';
    $serves->('r1', 'leaves the one before it, not an older one');
    ok defined $httpd->stop, 'httpd stops';
    $httpd->no_crash;
}
