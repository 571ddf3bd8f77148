# SPDX-License-Identifier: Apache-2.0
#
# Modes in which the application serves: backoff, and drain until it is over.
# And the seconds that clients are told, and the health pages.

use strict;
use warnings FATAL => 'all';
use Test::More;
use Time::HiRes qw(sleep time);
use WeaveTest;
use WeaveTest::Maintenance;

my @FIRST_CALLS = (
    ['/1.0/u/info/collections',                $STORAGE],
    ['/1.1/u/info/collections',                $STORAGE],
    ['/1.1/u/info/collections/',               $STORAGE],
    ['/1.1/u/info/collections?v=1.38.0.20231', $STORAGE],
    ['/1.5/42/info/collections',               $V15],
    ['/1.5/42/info/collections/?v=1',          $V15],
    ['/info/collections',                      $STORAGE],
    ['/1.1/storage/info/collections',          $STORAGE],
    ['/1.5/storage/info/collections',          $V15],
    ['/a/sync/1.1/storage/info/collections',   $STORAGE],
    ['/storage/1.1/u/info/collections',        $STORAGE],
    ['/1.1/mounted/info/collections',          $STORAGE],
);
my @OTHERS = qw(
    / /1.1/u/storage/meta/global /1.1/u/info/collection_counts /1.1/u/info/quota
    /1.1/u/info/collectionsx /1.5/42/storage/tabs /token/1.0/sync/1.5
    /user/1.0/u/node/weave /__heartbeat__
    /1.1/u/storage/x?a=/info/collections /1.1/u/storage/info/collections
    /1.1/storage/storage/info/collections /1.5/1/storage/info/collections
    /1.1/myinfo/collections /1.1/mounted/storage/info/collections
);

for my $mode (modes()) {
    subtest "backoff, $mode" => sub { backoff($mode) };
    subtest "drain, $mode"   => sub { drain($mode) };
}

sub backoff {
    my $mode  = shift;
    my $httpd = paused('Backoff', mode => $mode, set => ['retry_after 77'],
        expect => qr/AH01630/, conf => <<'END');
<Location /denied>
    Require all denied
</Location>
<Location /small>
    LimitRequestBody 10
    ErrorDocument 413 /served
</Location>
END
    $httpd->log->expect(qr/AH01588|configured limit/);
    for my $status (qw(200 201 204 301 304 400 401 404 500 503)) {
        my $res = $httpd->get("/1.1/x?status=$status");
        is $res->status, $status, "the application's $status";
        has_backoff($res, 'tells to slow down', retry => 77);
    }
    my $res = $httpd->request('HEAD', '/1.1/x');
    is $res->status, 200, 'HEAD';
    has_backoff($res, 'tells it too', retry => 77);
    $res = $httpd->request('POST', '/1.1/x?length', body => 'x' x 70_000);
    is $res->body, "70000\n", 'a body arrives';
    has_backoff($res, 'and is answered with it', retry => 77);
    has_backoff($httpd->get('/denied'), 'so is what httpd denies', retry => 77);
    $res = $httpd->request('POST', '/small', body => 'x' x 20);
    has_backoff($res, 'and what it makes of a body', retry => 77);

    for my $case ([5, 77], [99, 99], ['soon', 77], ['-99', 77]) {
        my ($its, $all) = @$case;
        has_backoff($httpd->get("/1.1/x?backoff=$its"),
            "the application says $its", retry => $all);
    }
    is $httpd->client->request('GET', '/1.1/x')->header('Connection'),
        undef, 'the connection stays';
}

sub drain {
    my $mode = shift;
    my $note = new_note();
    my ($httpd, $drain, $begin, $since, @first);
    my @others = in_time(6, sub {
        ($drain, $begin) = ($_[0], time);
        $httpd = paused('Drain', mode => $mode,
            set => ['retry_after 77', "drain $drain"], mount => <<'END');
WeaveApp / "DIR/sync.ini"
WeaveApp /1.1/mounted "DIR/sync.ini"
END
        $since = time;
        @first = map { $httpd->get($_->[0], note => $note) } @FIRST_CALLS;
        return map { $httpd->get($_) } @OTHERS;
    });
    for my $i (0 .. $#FIRST_CALLS) {
        my ($path, $body) = @{ $FIRST_CALLS[$i] };
        is_refusal($first[$i], "$path begins a sync", body => $body,
            retry => 77);
    }
    is_deeply [notes($note)], [], 'which the application never sees';
    for my $i (0 .. $#OTHERS) {
        is $others[$i]->body, "served\n", "$OTHERS[$i] goes on";
        has_backoff($others[$i], 'not for long', retry => 77);
    }
    sleep 0.1 while time < $since + $drain / 2;
    ok $httpd->renew, 'a graceful';
    my ($asked, $served) = (0, 0);
    ok eventually(sub {
        $asked = time;
        my $status = $httpd->get('/1.1/x')->status;
        $served = $asked if $status == 200;
        return $status == 503;
    }, 2 * $drain + 60), 'its time ends it';
    cmp_ok time - $begin, '>', $drain - 0.1, 'the graceful does not';
    cmp_ok $served, '<', $since + $drain, 'nor does that begin it anew';
    is_refusal($httpd->get($_), "$_ is refused", retry => 77) for @OTHERS;
}

subtest 'seconds' => sub {
    my %said;
    my $spread = paused('On', set => ['retry_after 100', 'spread 50']);
    for (1 .. 50) {
        my $res = $spread->get('/1.1/x');
        $said{ $res->header('Retry-After') }++;
        is_refusal($res, 'within the spread', body => $STORAGE,
            retry => [100, 150]);
    }
    cmp_ok scalar keys %said, '>', 10, 'not all the same';
    my @cases = (
        [none    => '',                                    1800],
        [global  => "[global]\nretry_after = 12\n",        12],
        [own     => "[maintenance]\nretry_after = 13\n",   13],
        [both    => "[global]\nretry_after = 12\n"
                  . "[maintenance]\nretry_after = 13\n",   13],
        [minutes => "[maintenance]\nretry_after = 2 min\n", 120],
    );
    my $httpd = paused('On', mode => 'processes',
        files => {map { ("$_->[0].ini" => $_->[1]) } @cases},
        mount => join '', map { qq(WeaveApp /$_->[0] "DIR/$_->[0].ini"\n) }
            @cases);
    is_refusal($httpd->get("/$_->[0]/1.1/x"), "retry_after: $_->[0]",
        body => $STORAGE, retry => $_->[2]) for @cases;

    my $least = paused('On', set => ['retry_after 1', 'spread 1']);
    my @least = map { $least->get('/1.1/x')->header('Retry-After') } 1 .. 40;
    is scalar(grep { $_ < 1 || $_ > 6 } @least), 0, 'a spread of 5 s at least';
    cmp_ok scalar(grep { $_ > 1 } @least), '>', 10, 'and it is one';
};

# Trouble told clients to come back in a minute who were to stay away longer.
subtest 'a 503 shortens no backoff' => sub {
    my $httpd = paused('Backoff', set => ['retry_after 2400'],
        script => undef, app => "import nothing_of_that_name\n",
        expect => qr/WEAVE0020|Traceback|File|import|ModuleNotFound/);
    ok eventually(sub { $httpd->get('/1.1/x')->status == 503 }),
        'the application cannot be imported';
    my $res = $httpd->get('/1.1/x');
    is $res->header($_), 2400, "$_: as maintenance says"
        for qw(Retry-After X-Weave-Backoff X-Backoff);
};

subtest 'health' => sub {
    my $alive = '{"status":"ok"}';
    my $conf  = <<"END";
<Location />
$ASKS</Location>
END
    for my $mode ('', 'Backoff', 'Drain', 'On') {
        my $name  = $mode || 'off';
        my $httpd = paused($mode, conf => $conf, app => "raise RuntimeError\n",
            script => undef, files => {passwords => ''},
            expect => qr/WEAVE|Traceback|RuntimeError|File|^ |raise/);
        my $res = $httpd->get('/__lbheartbeat__');
        is $res->status, 200, "$name: httpd is alive";
        is $res->body, $alive, 'and says so';
        is $res->header('Content-Type'), 'application/json', 'in JSON';
        $res = $httpd->request('HEAD', '/__lbheartbeat__');
        is $res->status, 200, 'HEAD';
        is $res->header('Content-Length'), length $alive, 'is the same';
        is $httpd->request('POST', '/__lbheartbeat__', body => 'x')->status,
            $mode eq 'On' ? 503 : 401, 'POST is not for us';
        next if $mode ne 'On';
        is_refusal($httpd->get('/__heartbeat__'), 'the application is not',
            body => $STORAGE);
    }
    my $well = paused('');
    is_served($well->get('/__heartbeat__'), 'off: the application is asked');
    my $below = paused('On', mount => qq(WeaveApp /sync "DIR/sync.ini"\n));
    is $below->get('/sync/__lbheartbeat__')->status, 200, 'below a path';
    is $below->get('/__lbheartbeat__')->status, 404, 'nowhere else';
};

finish;
