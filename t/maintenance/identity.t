# SPDX-License-Identifier: Apache-2.0
#
# Whose a word of weavectl is, and what --wait waits for, where links move and
# several of them lead to one application.

use strict;
use warnings FATAL => 'all';
use Test::More;
use POSIX ();
use Time::HiRes qw(sleep time);
use WeaveTest;
use WeaveTest::Maintenance;
use WeaveTest::Releases;
use WeaveTest::Workers qw(gate is_at opens weavectl);

my $MOUNT = qq(WeaveApp /sync "DIR/current/sync.ini"\n);

sub status_of { return $_[0]->get("$_[1]/1.1/x")->status }

# `weavectl maintenance` with ARGS ends with EXIT and says what LIKE says.
sub says {
    my ($httpd, $args, $exit, $like) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my $text = ctl($httpd, $exit, 'maintenance', @$args);
    like $text, $like, 'and says so' if $like;
    return $text;
}

# A request to PATH that stands at a gate in Python: (gate, client).
sub in_python {
    my ($httpd, $path) = @_;
    my $gate   = gate($httpd);
    my $client = $httpd->client;
    $client->send(WeaveTest::Client::format_request('GET',
        "$path/x?gate=$gate->{name}", note => new_note(), close => 1));
    is_at($gate);
    return ($gate, $client);
}

sub started {
    my ($mode, $conf, %arg) = @_;
    my $before = delete $arg{before};
    my $httpd  = released($mode, $conf || $MOUNT, %arg);
    $before->($httpd) if $before;
    moves($httpd, current => 'r1');
    $httpd->start;
    serves_release($httpd, '/sync', 'r1', 'the first release');
    return ($httpd, $httpd->dir . '/current/sync.ini');
}

for my $mode (modes()) {
    subtest "what the release of before has in Python, $mode" => sub {
        my ($httpd, $ini) = started($mode);
        my ($gate, $client) = in_python($httpd, '/sync');
        moves($httpd, current => 'r2');
        $httpd->graceful;
        serves_release($httpd, '/sync', 'r2', 'the next release');
        says($httpd, ['on', $ini, '--wait', '1s'], 1, qr/still in Python: 1 /);
        opens($gate);
        is $client->response->body, 'r1', 'it is not cut';
        says($httpd, ['on', $ini, '--wait', '60s'], 0,
            qr/^nothing is in Python any more$/m);
    };
    subtest "a graceful while --wait waits, $mode" => sub {
        my ($httpd, $ini) = started($mode, undef,
            more => "[maintenance]\ndrain = 600\n");
        my $pid = fork;
        die "fork: $!" unless defined $pid;
        if (!$pid) {
            sleep 1;
            moves($httpd, current => 'r2');
            $httpd->graceful;
            POSIX::_exit(0);
        }
        says($httpd, ['drain', $ini, '--wait', '4s'], 1,
            qr/the time is over, and the drain becomes on only at/);
        waitpid $pid, 0;
    };
}

subtest 'httpd stops while --wait waits' => sub {
    my ($httpd, $ini) = started('processes', undef,
        more => "[maintenance]\ndrain = 600\n");
    my $pid = fork;
    die "fork: $!" unless defined $pid;
    if (!$pid) {
        sleep 1;
        kill TERM => $httpd->pid;
        POSIX::_exit(0);
    }
    says($httpd, ['drain', $ini, '--wait', '6s'], 1, qr/no httpd runs/);
    waitpid $pid, 0;
    ok eventually(sub { !$httpd->running }), 'it is gone';
    $httpd->{pid} = 0;
    says($httpd, ['drain', $ini, '--wait', '1s'], 1, qr/no httpd runs/);
};

subtest 'another workers.mode' => sub {
    my ($httpd, $ini) = started('', undef, more => "[workers]\nprocesses = 1\n");
    my ($gate, $client) = in_python($httpd, '/sync');
    my $text = slurp($httpd->dir . '/r1/sync.ini');
    $httpd->write('r1/sync.ini',
        $text =~ s/^\[workers\]\n/[workers]\nmode = embedded\n/mr);
    $httpd->graceful;
    ok eventually(sub {
        ctl($httpd, 0, 'status') =~ /sync\.ini: embedded$/m }), 'embedded';
    says($httpd, ['on', $ini, '--wait', '1s'], 1, qr/still in Python: 1 /);
    opens($gate);
    is $client->response->status, 200, 'it is not cut';
    says($httpd, ['on', $ini, '--wait', '60s'], 0);
};

subtest 'two paths of one file' => sub {
    my ($httpd, $ini) = started('processes',
        qq(WeaveApp /a "DIR/r1/sync.ini"\n$MOUNT));
    my $other = $httpd->dir . '/r1/sync.ini';
    serves_release($httpd, '/a', 'r1', 'both serve');
    like ctl($httpd, 0, 'status'), qr/^\Q$_\E: serving/m, "$_: an application" for $ini, $other;
    says($httpd, ['on', $other], 0);
    is status_of($httpd, '/a'), 503, 'what is said of one';
    serves_release($httpd, '/sync', 'r1', 'is not for the other');
    says($httpd, ['on', $ini], 0);
    moves($httpd, current => 'r2');
    ok $httpd->renew, 'one of them leads elsewhere';
    is status_of($httpd, $_), 503, "$_: each keeps its own" for '/a', '/sync';
    says($httpd, ['off', $ini], 0);
    serves_release($httpd, '/sync', 'r2', 'which is taken back for it');
    is status_of($httpd, '/a'), 503, 'and for no other';
    says($httpd, ['off', $other], 0);
};

subtest 'two paths of one file, embedded' => sub {
    my ($httpd, $ini) = started('embedded',
        qq(${MOUNT}WeaveApp /a "DIR/./r1//sync.ini"\n), expect => qr/WEAVE001[14]/);
    for my $why ('start', 'graceful') {
        serves_release($httpd, $_, 'r1', "$why: $_ is answered") for '/sync', '/a';
        my @applications = ctl($httpd, 0, 'status') =~ /^(\S+): embedded$/mg;
        is_deeply \@applications, [$ini], 'by one application';
        says($httpd, ['on', $ini], 0);
        is status_of($httpd, $_), 503, "maintenance is for $_" for '/sync', '/a';
        says($httpd, ['off', $ini], 0);
        ok $httpd->renew, 'a graceful';
    }
    moves($httpd, current => 'r2');
    ok $httpd->renew, 'now these are two files';
    serves_release($httpd, '/sync', 'r2', 'the one that runs is the next release');
    is status_of($httpd, '/a'), 503, 'there is no room for the other';
};

subtest 'a damaged file, and a link that moves' => sub {
    my ($httpd, $ini) = started('processes', undef, expect => qr/WEAVE0152/);
    for my $case (['off', 'r2'], ['on', 'r1']) {
        my ($word, $next) = @$case;
        says($httpd, [$word], 0);
        spew($httpd->state . '/maintenance.json', '{');
        moves($httpd, current => $next);
        ok $httpd->renew, 'a graceful';
        is status_of($httpd, '/sync'), 503, "it was $word, and is on";
    }
};

subtest 'the embedded one that runs keeps its place' => sub {
    my ($httpd) = started('embedded', undef, expect => qr/WEAVE001[14]/);
    mkdir $httpd->dir . '/b';
    $httpd->write('b/sync.ini', slurp($httpd->dir . '/sync.ini'));
    $httpd->configure(qq(WeaveApp /b "DIR/b/sync.ini"\n$MOUNT));
    for my $name (qw(r1 r2)) {
        moves($httpd, current => $name);
        ok $httpd->renew, 'a graceful';
        serves_release($httpd, '/sync', $name, $name);
        is status_of($httpd, '/b'), 503, 'another has none';
    }
};

subtest 'a new folder that cannot be used' => sub {
    my ($httpd) = started('embedded', undef, expect => qr/WEAVE015[01]/);
    says($httpd, ['on'], 0);
    mkdir $httpd->dir . '/other';
    chmod 0777, $httpd->dir . '/other' or die $!;
    $httpd->configure(qq(WeaveStateDir "DIR/other"\n$MOUNT));
    ok $httpd->renew, 'a graceful';
    is status_of($httpd, '/sync'), 503, 'changes nothing';
    says($httpd, ['off'], 0);
    serves_release($httpd, '/sync', 'r1', 'that of before is still heard');
};

subtest 'a new folder' => sub {
    my ($httpd) = started('embedded', undef, expect => qr/WEAVE0141/);
    says($httpd, ['on', '--message', 'moving'], 0);
    mkdir $httpd->dir . '/other';
    $httpd->configure(qq(WeaveStateDir "DIR/other"\n$MOUNT));
    ok $httpd->renew, 'a graceful';
    is status_of($httpd, '/sync'), 503, 'changes nothing';
    ok defined $httpd->stop, 'httpd stops';
    $httpd->start;
    is status_of($httpd, '/sync'), 503, 'nor does a start';
    my ($exit, $text) = weavectl($httpd, '-s', $httpd->dir . '/other', 'maintenance');
    like $text, qr/moving/, 'it was taken along';
    weavectl($httpd, '-s', $httpd->dir . '/other', 'maintenance', 'off');
    serves_release($httpd, '/sync', 'r1', 'off');

    my $said = $httpd->logged(qr/WEAVE0141/, sub {
        weavectl($httpd, '-s', $httpd->dir . '/other', 'maintenance', 'drain');
        $httpd->configure($MOUNT);
        $httpd->renew;
    });
    like $said, qr{WEAVE0141: WeaveStateDir was \S+/other until now: .*\S+/state/maintenance\.json says},
        'a folder that has a word of its own';
    is status_of($httpd, '/sync'), 503, 'goes by that';
    ok defined $httpd->stop, 'httpd stops';
};

finish;
