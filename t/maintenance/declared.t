# SPDX-License-Identifier: Apache-2.0
#
# What the configuration says about maintenance, as weavectl sees it: it must
# never say "off" where requests are refused, nor send people to look for what
# does not hold.

use strict;
use warnings FATAL => 'all';
use Test::More;
use WeaveTest;
use WeaveTest::Httpd ();
use WeaveTest::Maintenance;

my $ON   = 'WeaveMaintenance On';
my $KEY  = 'WeaveSet maintenance.mode';
my $APP  = 'WeaveApp /sync "DIR/sync.ini"';
my $HELD = qr/ still holds; remove it and `apachectl graceful`$/m;

my $httpd = WeaveTest::Httpd->new(script => 'maintenance', conf => $APP);
my $ini   = $httpd->dir . '/sync.ini';
my $plain = slurp($ini);
$httpd->start;

sub location {
    my ($where, @lines) = @_;
    my ($name) = $where =~ /^(\w+)/;
    return join "\n", "<$where>", @lines, "</$name>", '';
}

sub hosts {
    my ($count, $lines) = @_;
    return join '', map {
        "<VirtualHost *>\nServerName site$_\n" . $lines->($_) . "</VirtualHost>\n"
    } 1 .. $count;
}

# With CONF in httpd.conf and MODE in sync.ini each path of AT has its status,
# and weavectl says what is LIKE and not what is UNLIKE; its exit status of
# `off` is OFF, and HELD is why.
sub declares {
    my ($name, %arg) = @_;
    return subtest $name => sub {
        $httpd->write('sync.ini',
            $plain . ($arg{mode} ? "[maintenance]\nmode = $arg{mode}\n" : ''));
        $httpd->configure($arg{app} || "$APP\n$arg{conf}");
        ok $httpd->renew, 'all children are new';
        my @at = @{ $arg{at} };
        while (my ($path, $status) = splice @at, 0, 2) {
            my ($host, $url) = $path =~ m{^(\w*)(/.*)};
            is $httpd->get($url, host => $host || 'localhost')->status, $status,
                "$path: $status";
        }
        my $shown = ctl($httpd, 0, 'maintenance');
        like $shown, $_, 'it is shown' for @{ $arg{like} || [] };
        unlike $shown, $_, 'and what is not so is not'
            for @{ $arg{unlike} || [] };
        my $said = ctl($httpd, $arg{off}, 'maintenance', 'off');
        like $said, $_, 'off says why it is not' for @{ $arg{held} || [] };
        unlike $said, qr/^weavectl: /m, 'off has nothing to say' if !$arg{off};
    };
}

# ---- patterns ----

# One that begins with / and is not anchored is no prefix of anything.
for my $case (
    ['LocationMatch "/1\.1/"',         '<LocationMatch /1\.1/>'],
    ['LOCATIONMATCH "/(1.1|weave)/"',  '<LocationMatch /(1.1|weave)/>'],
    ['Location ~ "/1\.1/"',            '<LocationMatch /1\.1/>'],
    ['Location "/*/1.1/*"',            '<Location /*/1.1/*>'],
    ['Location "/s?nc/1.1/x"',         '<Location /s?nc/1.1/x>'],
) {
    my ($where, $scope) = @$case;
    declares "<$where> is a part",
        conf => location($where, $ON),
        at   => ['/sync/1.1/x' => 503, '/sync/1.5/x' => 200],
        like => [qr/^  maintenance: off\n    only in \Q$scope\E: on since /m],
        off  => 1,
        held => [qr/ in \Q$scope\E: .*$HELD/];
}

declares 'whatever is between the pattern and what it says',
    conf => location('LocationMatch "/1\.1/"',
        location('IfModule weave_module', location('IfDefine !NONE', $ON))),
    at   => ['/sync/1.1/x' => 503],
    like => [qr/only in <LocationMatch /],
    off  => 1;

declares 'and between a plain path and what it says',
    conf => location('Location /sync',
        location('IfModule weave_module', $ON)),
    at   => ['/sync/1.1/x' => 503],
    like => [qr/^  maintenance: on since /m],
    off  => 1;

declares 'a key in a pattern',
    conf => location('LocationMatch "/1\.1/"', "$KEY on"),
    at   => ['/sync/1.1/x' => 503, '/sync/' => 200],
    like => [qr/only in <LocationMatch .*maintenance\.mode = on at /],
    off  => 1;

declares 'signs that mean nothing in a plain path',
    conf => location('Location "/other/$^["', $ON),
    at   => ['/sync/x' => 200],
    unlike => [qr/only in/],
    off  => 0;

# ---- virtual hosts that share what the server says ----

declares 'hosts without anything of their own',
    mode => 'on',
    conf => hosts(2, sub { '' }),
    at   => ['/sync/x' => 503, 'site1/sync/x' => 503, 'site2/sync/x' => 503],
    like => [qr/^  maintenance: on since .*sync\.ini:\d+\)$/m],
    unlike => [qr/only in/, qr/site\d/],
    off  => 1,
    held => [qr/^weavectl: \Q$ini\E: maintenance\.mode = on at .*:\d+$HELD/m];

declares 'one of them with something of its own',
    mode => 'on',
    conf => hosts(3, sub { $_[0] == 2 ? "$KEY off\n" : '' }),
    at   => ['site1/sync/x' => 503, 'site2/sync/x' => 200, 'site3/sync/x' => 503],
    like => [qr/^  maintenance: off$/m, qr/only in .*: on since/],
    off  => 1;

# ---- a key that replaces another ----

declares 'a key around all of the mount replaces that of the file',
    mode => 'on',
    conf => location('Location /sync', "$KEY off"),
    at   => ['/sync/x' => 200, '/sync' => 200],
    like => [qr/^  maintenance: off$/m],
    unlike => [qr/only in/],
    off  => 0;

declares 'by what it says, and alone',
    mode => 'drain',
    conf => location('Location /', "$KEY backoff"),
    at   => ['/sync/1.1/u/info/collections' => 200],
    like => [qr/^  maintenance: backoff since /m],
    unlike => [qr/also set|drain/],
    off  => 1;

declares 'the last of several',
    mode => 'on',
    conf => location('Location /sync/a', "$KEY on")
        . location('Location /sync', "$KEY on")
        . location('Location /', "$KEY off"),
    at   => ['/sync/x' => 200, '/sync/a' => 200],
    like => [qr/^  maintenance: off$/m],
    unlike => [qr/only in/],
    off  => 0;

declares 'what comes after it holds',
    conf => location('Location /sync', "$KEY off", "$KEY backoff")
        . location('Location /sync/a', "$KEY on"),
    mode => 'on',
    at   => ['/sync/x' => 200, '/sync/a' => 503],
    like => [qr/^  maintenance: backoff .*\n    only in <Location \/sync\/a>: on /m],
    off  => 1;

declares 'a host\'s after the server\'s, wherever it stands',
    mode => 'on',
    conf => hosts(1, sub { location('Location /sync', "$KEY on") })
        . location('Location /', "$KEY off"),
    at   => ['site1/sync/x' => 503],
    like => [qr/only in <Location \/sync>: on .*, for site1\)/],
    off  => 1;

declares 'a directive is not replaced',
    mode => 'on',
    conf => location('Location /sync', $ON) . location('Location /', "$KEY off"),
    at   => ['/sync/x' => 503],
    like => [qr/^  maintenance: on since .*\(WeaveMaintenance On at /m],
    unlike => [qr/maintenance\.mode/],
    off  => 1;

for my $part ('Location /sync/a', 'Location /sync/', 'LocationMatch ^/sync/.') {
    declares "<$part> replaces nothing in the rest",
        mode => 'on',
        conf => location($part, "$KEY off"),
        at   => ['/sync' => 503, '/sync/a' => 200],
        like => [qr/^  maintenance: on since .*\(maintenance\.mode = on at \Q$ini\E:/m],
        off  => 1,
        held => [$HELD];
}

# ---- much of it ----

declares 'said once, and copied into 500 hosts',
    mode => 'on',
    conf => hosts(500, sub { "WeaveSet maintenance.retry_after 60\n" }),
    at   => ['site1/sync/x' => 503, 'site500/sync/x' => 503],
    like => [qr/^\Q$ini\E:\n  maintenance: on since .*sync\.ini:\d+\)$/m],
    unlike => [qr/also set/, qr/site\d/],
    off  => 1,
    held => [$HELD];

declares 'said 500 times, not for all',
    conf => hosts(501, sub { $_[0] <= 500 ? "$KEY on\n" : '' }),
    at   => ['site1/sync/x' => 503, 'site500/sync/x' => 503, 'site501/sync/x' => 200],
    like => [qr/^  maintenance: off$/m,
             map { qr/only in <VirtualHost site$_>: on/ } 1, 500],
    off  => 1,
    held => [$HELD];

# ---- what is no UTF-8 ----

declares 'a path that is no UTF-8',
    conf => location(qq(Location "/sync/caf\xe9"), $ON),
    at   => ['/sync/caf%E9' => 503, '/sync/caf' => 200],
    like => [qr/only in <Location \/sync\/caf\\xe9>: on/],
    off  => 1,
    held => [qr/ in <Location \/sync\/caf\\xe9>: .*$HELD/];

declares 'one that is',
    conf => location(qq(Location "/sync/caf\xc3\xa9"), $ON),
    at   => ['/sync/caf%C3%A9' => 503],
    like => [qr/only in <Location \/sync\/caf\xc3\xa9>: on/],
    off  => 1;

my $raw = "caf\xe9.ini";
(my $escaped = $httpd->dir . "/$raw") =~ s/\xe9/\\xe9/;
$httpd->write($raw, "${plain}[maintenance]\nmode = on\n");
declares 'a sync.ini whose name is none',
    app  => qq(WeaveApp /raw "DIR/$raw"),
    at   => ['/raw/x' => 503],
    like => [qr/^\Q$escaped\E:\n  maintenance: on since .*\(maintenance\.mode = on at \Q$escaped\E:\d+\)$/m],
    off  => 1,
    held => [qr/^weavectl: \Q$escaped\E: .*$HELD/m];

like ctl($httpd, 1, 'maintenance', 'on', $escaped), qr/is no UTF-8.*for all/,
    'for it alone nothing can be said';
like ctl($httpd, 1, 'maintenance', 'on', $httpd->dir . "/$raw"),
    qr/is no UTF-8/, 'by its own name neither';

# ---- one application below another one ----

$httpd->configure($APP, mode => 'processes');
$httpd->write('below.ini', $plain);
declares 'the place of another application',
    app => 'WeaveApp / "DIR/sync.ini"' . qq(\nWeaveApp /sync/b "DIR/below.ini"\n)
        . location('Location "/sync/b"', $ON),
    at   => ['/sync/x' => 200, '/sync/b/x' => 503, '/sync/bc/x' => 200],
    like => [qr{/below\.ini:\n  maintenance: on }, qr{/sync\.ini:\n  maintenance: off\n(?!    only)}],
    off  => 1;
declares 'and a place around it',
    app => 'WeaveApp / "DIR/sync.ini"' . qq(\nWeaveApp /sync/b "DIR/below.ini"\n)
        . location('Location "/sync"', $ON),
    at   => ['/sync/x' => 503, '/sync/b/x' => 503, '/x' => 200],
    like => [qr{/below\.ini:\n  maintenance: on }, qr{/sync\.ini:\n  maintenance: off\n    only in }],
    off  => 1;

ok defined $httpd->stop, 'httpd stops';
finish;
