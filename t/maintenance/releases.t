# SPDX-License-Identifier: Apache-2.0
#
# WeaveApp names a link that leads to the release of now. The application is that
# name: its maintenance, its counters and its place go on when the link moves;
# and a release that does not come up leaves the one before it.

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

    for my $command (['status'], ['reload'], ['maintenance', '-i'], ['maintenance', 'on']) {
        like ctl($httpd, 1, @$command, $httpd->dir . '/r1/sync.ini'),
            qr/another name: say \Q$ini\E$/m, 'what the link leads to is not its name';
    }
    ctl($httpd, 0, 'maintenance', 'on', $ini);
    is $httpd->get('/sync/1.1/x')->status, 503, 'is in maintenance';
    my $file = JSON::PP->new->decode(slurp($httpd->state . '/maintenance.json'));
    is $file->{entries}[0]{ini}, $ini, 'the file has what WeaveApp says';
    moves($httpd, current => 'r2');
    like ctl($httpd, 0, 'maintenance', '-i', $ini), qr{^\Q$ini\E:\n  maintenance: on},
        'which is meant, whatever it leads to by now';
    if ($mode eq 'processes') {
        my $moved = qr{\Q$ini\E leads to \S+/r2/sync\.ini now, .*/r1/sync\.ini: `apachectl graceful`};
        like ctl($httpd, 1, 'reload', $ini), $moved, 'reload would be of the one before';
        like ctl($httpd, 0, 'status'), qr/outdated: $moved/, 'and status says so';
    }
    ctl($httpd, 0, 'maintenance', 'off', $ini);
    $serves->('r1', 'off');
    ctl($httpd, 0, 'maintenance', 'on', $ini, '--retry-after', 77);
    is $httpd->get('/sync/1.1/x')->status, 503, 'on again';
    ok $httpd->renew, 'a graceful';
    is $httpd->get('/sync/1.1/x')->status, 503, 'the next release is, too';
    like ctl($httpd, 0, 'maintenance', '-i', $ini), qr{^\Q$ini\E:\n  maintenance: on},
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
    like $log, qr{WEAVE0013: the application of \Q$ini\E goes on},
        'a release that does not come up';
    $serves->('r1', 'leaves the one before it, not an older one');
    ten_releases($httpd, $ini, $serves);
    ok defined $httpd->stop, 'httpd stops';
    $httpd->no_crash;
}

# What weavectl says of the application INI: its slot, and how many were refused.
sub known {
    my ($httpd, $ini) = @_;
    my $status = JSON::PP->new->decode(ctl($httpd, 0, 'status', '--json'));
    my ($app)  = grep { $_->{ini} eq $ini } @{$status->{applications}};
    my ($refused) = ctl($httpd, 0, 'maintenance', '-i', $ini) =~ /refused with 503: (\d+)/;
    return [scalar @{$status->{applications}}, $app->{app}, $refused];
}

sub ten_releases {
    my ($httpd, $ini, $serves) = @_;
    ctl($httpd, 0, 'maintenance', 'on', $ini);
    is $httpd->get('/sync/1.1/x')->status, 503, 'on';
    my $before = known($httpd, $ini);
    for my $number (1 .. 10) {
        release($httpd, "n$number");
        moves($httpd, current => "n$number");
        $httpd->renew or die "n$number";
    }
    is_deeply known($httpd, $ini), $before, 'its place and its counters are the same';
    is $httpd->get('/sync/1.1/x')->status, 503, 'ten releases later it still is';
    ctl($httpd, 0, 'maintenance', 'off', $ini);
    return $serves->('n10', 'off: the tenth release');
}
