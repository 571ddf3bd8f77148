# SPDX-License-Identifier: Apache-2.0
#
# What an operator sees beside weavectl: the error log, configtest, and an
# application that cannot run.

use strict;
use warnings FATAL => 'all';
use Test::More;
use WeaveTest;
use WeaveTest::Maintenance;
use WeaveTest::Workers;

# The lines of WEAVE0156 so far.
sub said { return $_[0]->log_text =~ /WEAVE0156: (.*)/g }

subtest 'the log' => sub {
    for my $mode (modes()) {
        my $httpd = paused('', mode => $mode);
        $httpd->get('/1.1/x') for 1 .. 5;
        is_deeply [said($httpd)], [], "$mode: nothing is said";
        ctl($httpd, 0, qw(maintenance on --for 1h));
        $httpd->get('/1.1/x') for 1 .. 10;
        my @lines = said($httpd);
        is @lines, 1, 'once, however many children there are';
        like $lines[0],
            qr/^maintenance of all applications: weavectl says on until \w.*, by \w/,
            'what, until when, by whom';
        ok $httpd->renew, 'graceful';
        $httpd->get('/1.1/x') for 1 .. 10;
        is_deeply [said($httpd)], \@lines, 'is no news';
        ctl($httpd, 0, qw(maintenance off));
        $httpd->get('/1.1/x') for 1 .. 10;
        @lines = said($httpd);
        is_deeply [@lines[1 .. $#lines]],
            ['maintenance of all applications: weavectl says off'], 'off';
    }
};

subtest 'a sync.ini that goes bad' => sub {
    my $httpd = paused('', mode => 'processes', expect => qr/WEAVE00(?:01|13)/,
        more => "[maintenance]\nmode = on\n");
    my $ini = $httpd->dir . '/sync.ini';
    serves($httpd);
    my $generation = generation($httpd);
    like ctl($httpd, 0, 'status'),
        qr{on since .*maintenance\.mode = on at \Q$ini\E:\d},
        'it is on';
    spew($ini, slurp($ini) . "[maintenance]\nmood = bad\n");
    ok $httpd->renew, 'graceful';
    is $httpd->get('/1.1/x')->status, 503, 'what was before goes on';
    like ctl($httpd, 0, 'status'), qr{on since .*\Q$ini\E, as it was before},
        'and weavectl says so';
    spew($ini, slurp($ini) =~ s/\[maintenance\].*//sr);
    ok $httpd->renew, 'graceful';
    is_served($httpd->get('/1.1/x'), 'mended, and off');
    is generation($httpd), $generation, 'the workers are those of before';
};

subtest 'configtest' => sub {
    my $httpd = paused('', start => 0);
    my ($status, $output) = $httpd->configtest;
    is $status, 0, 'a folder that httpd will make';
    unlike $output, qr/WEAVE015/, 'is fine';
    mkdir $httpd->state;
    spew($httpd->state . '/maintenance.json', 'rubbish');
    ($status, $output) = $httpd->configtest;
    is $status, 0, 'a damaged file is no error of the configuration';
    like $output, qr/WEAVE0157: .*maintenance\.json is damaged/, 'but said';
    chmod 0777, $httpd->state;
    ($status, $output) = $httpd->configtest;
    is $status, 0, 'nor is a folder that others may write in';
    like $output, qr/WEAVE0150: .*chmod go-w/, 'but said';
};

subtest 'an application that cannot run' => sub {
    my $httpd = paused('', mode => 'processes', files => {'two.ini' => ''},
        mount  => qq(WeaveApp /two "DIR/two.ini"\nWeaveApp / "DIR/sync.ini"\n),
        expect => qr/WEAVE00\d\d|WEAVE0130/);
    my $ini = $httpd->dir . '/two.ini';
    is_served($httpd->get('/two/1.1/x'), 'it runs');
    ok defined $httpd->stop, 'httpd stops';
    $httpd->start;
    # nothing good is known of this one
    $httpd->write('three.ini', "[wsgi]\nscript = /nowhere\n");
    my $conf = $httpd->dir . '/httpd.conf';
    spew($conf, slurp($conf) . qq(WeaveApp /three "DIR/three.ini"\n)
        =~ s/DIR/$httpd->dir/er);
    ok $httpd->renew, 'graceful';
    ok eventually(sub { $httpd->log_text =~ /WEAVE0014.*three/ }), 'it is broken';
    ok eventually(sub { $httpd->get('/three/1.1/x')->status == 503 }), 'a 503';
    is $httpd->get('/three/1.1/x')->header('Retry-After'), 60,
        'of limits.backoff';
    my $three = $httpd->dir . '/three.ini';
    ctl($httpd, 0, qw(maintenance on --retry-after 777), $three);
    is_served($httpd->get('/1.1/x'), 'the others go on');
    cmp_ok $httpd->get('/three/1.1/x')->header('Retry-After'), '>=', 777,
        'it can be switched';
    ctl($httpd, 0, qw(maintenance off), $three);
    is $httpd->get('/three/1.1/x')->header('Retry-After'), 60, 'and back';
};

finish;
