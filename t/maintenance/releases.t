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
use WeaveTest::Maintenance;
use WeaveTest::Releases;

for my $mode (modes()) {
    subtest $mode => sub { releases($mode) };
}
finish;

sub releases {
    my $mode  = shift;
    my $httpd = released($mode, qq(WeaveApp /sync "DIR/current/sync.ini"\n),
        expect => qr/WEAVE00(?:01|13)/);
    my $ini   = $httpd->dir . '/current/sync.ini';
    my $serves = sub { serves_release($httpd, '/sync', @_) };
    moves($httpd, current => 'r1');
    $httpd->start;
    $serves->('r1', 'the first release');

    ctl($httpd, 0, 'maintenance', 'on', $ini);
    is $httpd->get('/sync/1.1/x')->status, 503, 'is in maintenance';
    my $file = JSON::PP->new->decode(slurp($httpd->state . '/maintenance.json'));
    is $file->{entries}[0]{ini}, $ini, 'the file has what WeaveApp says';
    moves($httpd, current => 'r2');
    like ctl($httpd, 0, 'maintenance', '-i', $ini), qr{/r1/sync\.ini:\n  maintenance: on},
        'which is meant, whatever it leads to by now';
    like ctl($httpd, 1, 'reload', $ini),
        qr{\Q$ini\E leads to \S+/r2/sync\.ini now, .*/r1/sync\.ini .*`apachectl graceful`},
        'reload would be of the one before';
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

    moves($httpd, current => 'r1');
    ok $httpd->renew, 'back';
    $serves->('r1', 'to the first release');
    moves($httpd, current => 'r3');
    my $log = $httpd->logged(qr/WEAVE0013/, sub { $httpd->renew });
    like $log, qr{WEAVE0013: the application of \S+/r1/sync\.ini},
        'a release that does not come up';
    $serves->('r1', 'leaves the one before it, not an older one');
    ok defined $httpd->stop, 'httpd stops';
    $httpd->no_crash;
}
