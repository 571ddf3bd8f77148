# SPDX-License-Identifier: Apache-2.0
#
# Workers that want to be replaced: as often as an honest application needs it,
# and no more processes than that where they do not leave.

use strict;
use warnings FATAL => 'all';
use Test::More;
use Time::HiRes qw(sleep);
use WeaveTest;
use WeaveTest::Load ();
use WeaveTest::Rogue ();
use WeaveTest::Workers;

sub all_workers {
    my ($httpd, $which) = @_;
    my ($app) = grep { $_->{ini} =~ $which }
        @{ (status($httpd) || {applications => []})->{applications} };
    return map { @{ $_->{workers} } } @{ $app->{generations} };
}

subtest 'max_requests' => sub {
    my $httpd = new_httpd(
        workers => "processes = 3\nthreads = 2\nmax_requests = 20\n",
        expect  => qr/WEAVE0079/);
    my %seen = map { $_ => 1 } serves($httpd, 3);
    my $load = WeaveTest::Load->start($httpd->port, '/who', clients => 3,
        keep_alive => 1);
    ok eventually(sub {
        $seen{$_} = 1 for workers($httpd);
        return keys %seen >= 9;
    }), 'each worker is replaced, and its successor';
    my ($answered, $reopened, @failures) = $load->stop;
    is_deeply \@failures, [], 'no request fails';
    ok eventually(sub { all_workers($httpd, qr/./) == 3 }), 'no process is left over';
    ok defined $httpd->stop, 'httpd stops';
};

subtest 'workers that are stopped when they have asked' => sub {
    my $httpd = WeaveTest::Rogue->new(
        conf   => $WeaveTest::Rogue::ONE_CHILD,
        expect => qr/WEAVE0079|WEAVE0170|WEAVE007[56]/);
    $httpd->serves;
    $httpd->serve_as('tell_recycle_and_stop');
    my $most = 0;
    my $look = sub {
        my $now = all_workers($httpd, qr/rogue\.ini/);
        $most = $now if $now > $most;
    };
    my ($exit) = weavectl($httpd, '-i', $httpd->dir . '/rogue.ini', 'reload');
    is $exit, 0, 'they serve';
    ok eventually(sub { $look->(); $httpd->log_text =~ /WEAVE0170: 5 processes of .*rogue\.ini/ }),
        'that they do not leave is said';
    for (1 .. 20) {
        $look->();
        sleep 0.1;
    }
    cmp_ok $most, '<=', 7, 'and no more are started';
    is scalar(() = $httpd->log_text =~ /WEAVE0170/g), 1, 'it is said once';

    my ($stopped) = grep { $_->{state} eq 'draining' } all_workers($httpd, qr/rogue\.ini/);
    my ($serving) = $httpd->rogue;
    kill KILL => $stopped->{pid};
    ok eventually(sub {
        my ($now) = $httpd->rogue;
        return $now && $now != $serving;
    }), 'when one of them has ended, there is another successor';
    is $httpd->get('/good/who')->status, 200, 'the other application goes on';
    ok defined $httpd->stop, 'httpd stops';
};

subtest 'workers that die, and put it down to requests' => sub {
    my $httpd = WeaveTest::Rogue->new(expect => qr/WEAVE0075/);
    $httpd->serves;
    $httpd->serve_as('tell_requests_and_exit');
    weavectl($httpd, '-i', $httpd->dir . '/rogue.ini', 'reload');
    my @deaths;
    ok eventually(sub { @deaths = $httpd->log_text =~ /(WEAVE0075.*)/g; @deaths >= 9 }),
        'die all the time';
    is scalar(grep { /at once/ } @deaths), 6,
        'get no more successors at once than others do' or diag "@deaths";
    is $httpd->get('/good/who')->status, 200, 'the other application goes on';
    $httpd->serve_as('');
    weavectl($httpd, '-i', $httpd->dir . '/rogue.ini', 'reload');
    ok defined $httpd->stop, 'httpd stops';
};

finish;
