# SPDX-License-Identifier: Apache-2.0
#
# Who serves is told, whether a link in WeaveStateDir leads there or not: a
# child of an httpd that was killed, and an httpd whose link somebody removed.

use strict;
use warnings FATAL => 'all';
use Test::More;
use WeaveTest;
use WeaveTest::Httpd ();
use WeaveTest::Maintenance;
use WeaveTest::Workers;

sub started {
    my $mode  = shift;
    my $httpd = WeaveTest::Httpd->new(
        script => 'maintenance', mode => $mode,
        more   => "[workers]\nprocesses = 1\nthreads = 4\n");
    $httpd->start;
    ok eventually(sub { $httpd->get('/')->status == 200 }), 'it serves';
    return $httpd;
}

sub links {
    my @found = glob $_[0]->state . '/httpd-*';
    return @found;
}

my $LEFT = qr/httpd \d+ was killed, and what it has started serves on \(pid \d+.*\): end that/;

sub orphans {
    my $mode  = shift;
    my $httpd = started($mode);
    my ($parent, @all) = ($httpd->pid, descendants($httpd->pid));
    ctl($httpd, 0, 'maintenance', 'backoff');
    kill KILL => $parent;
    ok eventually(sub { !alive($parent) }), 'httpd is killed';
    is $httpd->get('/')->status, 200, 'its children serve on';

    like ctl($httpd, 0, 'maintenance', 'on'), qr/warning: $LEFT/, 'on: they are told';
    is $httpd->get('/')->status, 503, 'they obey';
    is scalar(links($httpd)), 1, 'the link to them stays';
    like ctl($httpd, 1, 'maintenance'), $LEFT, 'people are told';
    like ctl($httpd, 0, 'maintenance', 'on', '--wait', '60s'),
        qr/^nothing is in Python any more$/m, 'it is known what they do'
        if $mode eq 'embedded';
    ctl($httpd, 0, 'maintenance', 'off');
    is $httpd->get('/')->status, 200, 'off';
    unlink links($httpd);
    ctl($httpd, 0, 'maintenance', 'on');
    is $httpd->get('/')->status, 503, 'on, without a link to them';

    kill KILL => @all;
    ok eventually(sub { !grep { alive($_) } @all }), 'they have ended';
    like ctl($httpd, 0, 'maintenance', 'on'), qr/warning: no httpd runs/,
        'then nobody is left';
    unlink $httpd->dir . '/httpd.pid';
    $httpd->{pid} = 0;
}

subtest "children of an httpd that was killed, $_" => sub { orphans($_) }
    for modes();

subtest 'a link that leads to nobody' => sub {
    my $httpd = started('processes');
    my $pid   = $httpd->pid;
    kill KILL => $pid, descendants($pid);
    ok eventually(sub { !alive($pid) }), 'all of httpd is killed';
    is scalar(links($httpd)), 1, 'its link is left';
    unlink $httpd->dir . '/httpd.pid';
    $httpd->start;
    is_deeply [links($httpd)], [$httpd->state . '/httpd-' . $httpd->pid],
        'the next httpd removes it';
    ok defined $httpd->stop, 'httpd stops';
    is_deeply [links($httpd)], [], 'and its own';
};

subtest 'a link that somebody has removed' => sub {
    my $httpd = started('processes');
    unlink links($httpd) or die $!;
    my ($exit, $text) = weavectl($httpd, 'maintenance', 'on');
    is $exit, 0, 'on';
    unlike $text, qr/no httpd runs/, 'it is found';
    is $httpd->get('/')->status, 503, 'and told';
    ($exit, $text) = weavectl($httpd, 'maintenance');
    is $exit, 0, 'shown';
    like $text, qr/^  maintenance: on since/m, 'as it is';
    weavectl($httpd, 'maintenance', 'off');
    is $httpd->get('/')->status, 200, 'off';
    ok defined $httpd->stop, 'httpd stops';
};

finish;
