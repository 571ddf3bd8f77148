# SPDX-License-Identifier: Apache-2.0
#
# weavectl rollback, switch, releases and prune while httpd serves: no request
# fails, a release that does not come up never takes over, and none goes that a
# worker still runs from.

use strict;
use warnings FATAL => 'all';
use Test::More;
use WeaveTest;
use WeaveTest::Candidates;
use WeaveTest::Load ();
use WeaveTest::Workers;

my $httpd = with_home('processes',
    limits  => "startup_timeout = 20\n",
    conf    => qq(WeaveApp / "DIR/sync.ini"\n),
    expect  => qr/WEAVE022[123]|WEAVE0047|no good|$STACKS/);
my $home = $httpd->dir . '/home';
my $gate = $httpd->dir . '/gate';

# A release as install leaves it; VERSIONs have served in the order of their numbers.
sub installed {
    my ($version, $number, %at) = @_;
    my $weave = release($httpd, "app-$version", %at) . '/.weave';
    mkdir $weave or die "$weave: $!";
    spew("$weave/ready.json", qq({"format": 1, "name": "app", "version": "$version",)
        . qq( "at": "2026-11-0${version}T00:00:00Z", "lock": {"app": {"version": "$version"}}}));
    spew("$weave/served", qq({"number": $number, "at": "2026-11-0${version}T01:00:00Z"}))
        if $number;
    return;
}

sub ctl {
    my ($status, @words) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my ($exit, $said) = weavectl($httpd, @words, '-i', $httpd->dir . '/sync.ini');
    is $exit, $status, "weavectl @words: $status" or diag $said;
    return $said;
}

sub releases {
    my ($exit, $said) = weavectl($httpd, 'releases', '--json', '-i', $httpd->dir . '/sync.ini');
    return {map { $_->{release} => $_ } @{ JSON::PP->new->decode($said)->{releases} }};
}

# How many workers have a request.
sub running {
    return scalar grep { $_->{running} } map { @{ $_->{workers} } }
        @{ app_status($httpd)->{generations} };
}

# Requests stand in /warm of app-1 until the gate is there.
installed(1, 1, warmup => "import time\nwhile not os.path.exists('$gate'):\n    time.sleep(0.02)\n");
installed(2, 2);
installed(3, 3);
installed(4, 0);
installed(5, 0, import => "raise RuntimeError('no good')\n");
links($httpd, 'app-3');
serves($httpd);
is answers($httpd), 'app-3', 'a release serves';

subtest 'back and on under load' => sub {
    my $load = WeaveTest::Load->start($httpd->port, '/who', clients => 4, pause => 0.01);
    like ctl(0, 'rollback'), qr/^app 2 serves \(generation \d+\)/m, 'it says so';
    is answers($httpd), 'app-2', 'the one before answers when weavectl has returned';
    is readlink "$home/current", 'releases/app-2', 'the link leads there';
    like ctl(1, 'switch', '5'), qr/RuntimeError: no good.*app 2 goes on/s, 'one that is no good';
    is answers($httpd), 'app-2', 'the good one serves';
    is readlink "$home/current", 'releases/app-2', 'the link has not moved';
    ctl(0, 'switch', '4');
    is answers($httpd), 'app-4', 'one that had never served';
    ctl(0, 'rollback');
    is answers($httpd), 'app-2', 'and back';
    my ($count, undef, @failures) = $load->stop;
    cmp_ok $count, '>', 20, 'there was load';
    is scalar @failures, 0, 'no request has failed' or diag explain \@failures;
    my $rows = releases();
    is join(' ', grep { $rows->{$_}{bad} } sort keys %$rows), 'app-3 app-4', 'two are bad';
    like $rows->{'app-5'}{failed}, qr/no good/, 'one has failed';
    is join(' ', grep { $rows->{$_}{running} } keys %$rows), 'app-2', 'one runs';
};

subtest 'killed between the link and the switch' => sub {
    ctl(0, 'switch', '--again', '3');
    {
        local $ENV{WEAVE_KILL_AT} = 'link:after';
        ctl(1, 'rollback');
    }
    is readlink "$home/current", 'releases/app-2', 'the link has moved';
    is answers($httpd), 'app-3', 'the old one serves on';
    ctl(0, 'prune');    # after which the lock says nothing any more
    like ctl(0, 'releases'), qr/^app 3 .*its workers still run.*\napp 2 .*from the next start/m,
        'which can be seen';
    ctl(0, 'rollback');
    is answers($httpd), 'app-2', 'the next rollback finishes it, and goes no further';
};

subtest 'what workers run from stays' => sub {
    ctl(0, 'switch', '1');
    my $client = $httpd->client;
    $client->send(WeaveTest::Client::format_request('GET', '/warm', close => 1));
    ok eventually(sub { running() }), 'a request stands in app-1';
    ctl(0, 'switch', '2');
    ctl(0, 'switch', '--again', '3');
    is answers($httpd), 'app-3', 'another one serves, and a third did meanwhile';
    like ctl(0, 'prune', '--keep', '1'), qr/^app 1 +stays: workers run from it$/m, 'app-1 stays';
    ok -e "$home/releases/app-1/.weave/ready.json", 'as a whole';
    ok !-e "$home/releases/app-5", 'what has failed goes';
    spew($gate, '');
    like $client->response->body, qr/^app-1 /, 'the request is answered';
    ok eventually(sub { @{ app_status($httpd)->{generations} } == 1 }), 'its workers end';
    like ctl(0, 'prune', '--keep', '1'), qr/^app 1 removed$/m, 'then it goes';
    ok !-e "$home/releases/app-1", 'it has gone';
    is answers($httpd), 'app-3', 'the other one serves';
};

ok defined $httpd->stop, 'httpd stops';

subtest "back in httpd's own processes, and with httpd stopped" => sub {
    $httpd = with_home('embedded',
        conf => qq(WeaveApp / "DIR/sync.ini"\n), expect => qr/no good|$STACKS/);
    $home = $httpd->dir . '/home';
    installed($_, $_) for 1 .. 4;
    links($httpd, 'app-4');
    like ctl(0, 'rollback'), qr/^app 3 is what httpd serves when it is started/m, 'stopped';
    $httpd->start;
    is answers($httpd), 'app-3', 'it does';
    my $load = WeaveTest::Load->start($httpd->port, '/who', clients => 2, pause => 0.01);
    like ctl(0, 'rollback'), qr/^app 2 serves in httpd's own processes/m, 'running';
    ok eventually(sub { answers($httpd) eq 'app-2' }), 'its new children serve it';
    my ($count, undef, @failures) = $load->stop;
    cmp_ok $count, '>', 5, 'there was load';
    is scalar @failures, 0, 'no request has failed' or diag explain \@failures;
    installed(5, 0, import => "raise RuntimeError('no good')\n");
    like ctl(1, 'switch', '5'), qr/RuntimeError: no good.*app 2 goes on/s, 'one that is no good';
    is answers($httpd), 'app-2', 'the good one serves';
    ok defined $httpd->stop, 'httpd stops';
};
finish;
