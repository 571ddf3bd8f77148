# SPDX-License-Identifier: Apache-2.0
#
# WeaveMaintenance and maintenance.mode, wherever they may stand, and weavectl
# on top of them: the strictest wins.

use strict;
use warnings FATAL => 'all';
use Test::More;
use WeaveTest;
use WeaveTest::Httpd ();
use WeaveTest::Maintenance;

my $FIRST = '/1.1/u/info/collections';    # the first call of a sync
my $HIGH  = 'WeaveMaintenance';
my $KEY   = 'WeaveSet maintenance.mode';
my $APP   = 'WeaveApp / "DIR/sync.ini"';

# Virtual hosts by what is in them, and what is said at paths there: on, off,
# or backoff.
my %HOSTS = (
    calm            => ["$APP", '/' => 'off', $FIRST => 'off'],
    on              => ["$HIGH On\n$APP", '/' => 'on', '/part/x' => 'on'],
    any_case        => ["$HIGH oN\n$APP", '/' => 'on'],
    said_off        => ["$HIGH Off\n$KEY off\n$APP", '/' => 'off'],
    backoff         => ["$HIGH Backoff\n$APP", '/' => 'backoff', $FIRST => 'backoff'],
    drain           => ["$HIGH Drain\n$APP", '/' => 'backoff', $FIRST => 'on'],
    part            => ["$APP\n<Location /part>\n$HIGH On\n</Location>",
        '/part' => 'on', '/part/x' => 'on', '/partly' => 'off', '/' => 'off'],
    a_pattern       => ["$APP\n<LocationMatch ^/(a|b)/>\n$HIGH On\n</LocationMatch>",
        '/a/x' => 'on', '/b/x' => 'on', '/c/x' => 'off'],
    less_inside     => ["$HIGH On\n$APP\n<Location /part>\n$HIGH Off\n</Location>",
        '/' => 'on', '/part' => 'on'],
    more_inside     => ["$HIGH Backoff\n$APP\n<Location /part>\n$HIGH Drain\n</Location>",
        $FIRST => 'backoff', '/part/x' => 'backoff', "/part$FIRST" => 'on'],
    innermost       => ["$APP\n<Location /a>\n$HIGH On\n</Location>\n"
            . "<Location /a/b>\n$HIGH Backoff\n</Location>",
        '/a' => 'on', '/a/b' => 'on', '/b' => 'off'],
    twice           => ["$HIGH On\n$HIGH Off\n$APP", '/' => 'on'],
    twice_inside    => ["$APP\n<Location /part>\n$HIGH Drain\n$HIGH Backoff\n</Location>",
        "/part$FIRST" => 'on', '/part' => 'backoff'],
    key             => ["$KEY on\n$APP", '/' => 'on'],
    key_backoff     => ["$KEY backoff\n$APP", '/' => 'backoff'],
    key_inside      => ["$APP\n<Location /part>\n$KEY on\n</Location>",
        '/part/x' => 'on', '/' => 'off'],
    key_off_inside  => ["$KEY on\n$APP\n<Location /part>\n$KEY off\n</Location>",
        '/' => 'on', '/part' => 'off'],
    key_beside      => ["$KEY on\n$APP\n<Location /part>\n"
            . "WeaveSet maintenance.spread 0\n</Location>", '/part' => 'on'],
    key_is_more     => ["$HIGH Backoff\n$KEY on\n$APP", '/' => 'on'],
    key_is_less     => ["$HIGH On\n$KEY backoff\n$APP", '/' => 'on'],
    key_off         => ["$HIGH On\n$KEY off\n$APP\n<Location /part>\n$KEY off\n</Location>",
        '/' => 'on', '/part' => 'on'],
    beside_it       => ["$HIGH On\nWeaveApp /app \"DIR/sync.ini\"",
        '/app/x' => 'on', '/app' => 'on', '/plain.txt' => 'file', '/apple' => 404],
    mounted_twice   => ["$APP\nWeaveApp /two \"DIR/sync.ini\"\n"
            . "<Location /two>\n$HIGH On\n</Location>", '/two/x' => 'on', '/x' => 'off'],
);

sub hosts {
    my %host = @_;
    return join '', map {
        "<VirtualHost *>\nServerName $_\n$host{$_}[0]\n</VirtualHost>\n"
    } sort keys %host;
}

sub answers {
    my ($res, $what, $name) = @_;
    return is_refusal($res, "$name: on")          if $what eq 'on';
    return is($res->status, $what, "$name: $what") if $what =~ /^\d/;
    return like($res->body, qr/a plain file/, "$name: httpd's own")
        if $what eq 'file';
    is $res->status, 200, "$name: served";
    return has_backoff($res, "$name: with backoff") if $what eq 'backoff';
    return has_no_backoff($res, "$name: without backoff");
}

sub all_answer {
    my ($httpd, %host) = @_;
    for my $name (sort keys %host) {
        my (undef, @said) = @{ $host{$name} };
        while (my ($path, $what) = splice @said, 0, 2) {
            answers($httpd->get($path, host => $name), $what, "$name $path");
        }
    }
}

sub new_httpd {
    my ($mode, $conf, %arg) = @_;
    my $httpd = WeaveTest::Httpd->new(
        script => 'maintenance', mode => $mode, conf => $conf,
        more   => "[workers]\nprocesses = 1\nthreads = 4\n"
            . "[maintenance]\nstyle = sync\n", %arg);
    $httpd->start;
    return $httpd;
}

# `graceful`, done when no child of before is left; then PATH is STATUS.
sub becomes {
    my ($httpd, $status, $path) = @_;
    ok $httpd->renew, 'all children are new';
    ok eventually(sub { $httpd->get($path)->status == $status }),
        "after graceful $path is $status";
}

# `weavectl maintenance` that must end with EXIT and print what LIKE says.
sub says {
    my ($httpd, $exit, $like, @args) = @_;
    like ctl($httpd, $exit, 'maintenance', @args), $like, 'and says so';
}

for my $mode (modes()) {
    subtest "in one place, $mode" => sub {
        all_answer(new_httpd($mode, hosts(%HOSTS)), %HOSTS);
    };

    subtest "in the server, $mode" => sub {
        my $httpd = new_httpd($mode, hosts(calm => $HOSTS{calm}));
        answers($httpd->get('/'), 'off', 'at first');
        my %inside = (
            calm    => [$APP, '/' => 'on', $FIRST => 'on'],
            vhost   => ["$HIGH Off\n$APP", '/' => 'on'],
            part    => ["$APP\n<Location /part>\n$HIGH Off\n</Location>",
                '/part' => 'on'],
            less    => ["$HIGH Backoff\n$APP", '/' => 'on'],
            key     => ["$KEY off\n$APP", '/' => 'on'],
            outside => ["WeaveApp /app \"DIR/sync.ini\"",
                '/app/' => 'on', '/plain.txt' => 'file'],
        );
        $httpd->configure("$HIGH On\n" . hosts(%inside));
        becomes($httpd, 503, '/');
        all_answer($httpd, %inside);

        my %more = (
            calm  => [$APP, '/' => 'backoff', $FIRST => 'backoff'],
            drain => ["$HIGH Drain\n$APP", '/' => 'backoff', $FIRST => 'on'],
            off   => ["$HIGH Off\n$APP", '/' => 'backoff'],
            part  => ["$APP\n<Location /part>\n$HIGH Drain\n</Location>",
                $FIRST => 'backoff', "/part$FIRST" => 'on'],
            key   => ["$KEY on\n$APP", '/' => 'on'],
        );
        $httpd->configure("$HIGH Backoff\n" . hosts(%more));
        becomes($httpd, 200, '/');
        all_answer($httpd, %more);

        # a key of the server is one of the hosts, as others are
        my %keys = (
            calm => [$APP, '/' => 'on'],
            key  => ["$KEY off\n$APP", '/' => 'off'],
            part => ["$APP\n<Location /part>\n$KEY off\n</Location>",
                '/' => 'on', '/part' => 'off'],
        );
        $httpd->configure("$KEY on\n" . hosts(%keys));
        becomes($httpd, 503, '/');
        all_answer($httpd, %keys);
        $httpd->configure(hosts(calm => $HOSTS{calm}));
        becomes($httpd, 200, '/');
        answers($httpd->get('/'), 'off', 'in the end');
        ok defined $httpd->stop, 'httpd stops';
    };

    subtest "in sync.ini, and weavectl on top, $mode" => sub {
        my $httpd = new_httpd($mode, $APP);
        my $ini   = slurp($httpd->dir . '/sync.ini');
        my $said  = sub {
            my ($key, $status) = @_;
            $httpd->write('sync.ini', "$ini$key\n");
            becomes($httpd, $status, $FIRST);
        };
        $said->('mode = on', 503);
        answers($httpd->get('/'), 'on', 'mode = on');
        says($httpd, 1, qr/maintenance\.mode.* still holds/, 'off');
        answers($httpd->get('/'), 'on', 'off does not end it');
        $said->('mode = backoff', 200);
        answers($httpd->get('/'), 'backoff', 'mode = backoff');
        says($httpd, 0, qr/^maintenance: on/, 'on');
        answers($httpd->get('/'), 'on', 'weavectl is stricter');
        says($httpd, 0, qr/^maintenance: drain/, 'drain');
        answers($httpd->get('/'),    'backoff', 'it drains');
        answers($httpd->get($FIRST), 'on',      'it drains');
        $said->('mode = off', 503);
        answers($httpd->get('/'), 'backoff', 'off in the file is no end');
        says($httpd, 0, qr/^maintenance: off/, 'off');
        answers($httpd->get($FIRST), 'off', 'nobody says anything');
        says($httpd, 0, qr/^maintenance: backoff/, 'backoff');
        $said->('mode = on', 503);
        answers($httpd->get('/'), 'on', 'the file is stricter');
        $said->('', 200);
        answers($httpd->get('/'), 'backoff', 'weavectl is left');
        says($httpd, 0, qr/^maintenance: off/, 'off');
        answers($httpd->get('/'), 'off', 'and then nobody');
        ok defined $httpd->stop, 'httpd stops';
    };
}

# One in worker processes, one in httpd.
subtest 'two applications' => sub {
    my $httpd = WeaveTest::Httpd->new(
        script => 'maintenance', mode => '', expect => qr/WEAVE0046/,
        more   => "[workers]\nprocesses = 1\n",
        conf   => 'WeaveSet maintenance.style sync
WeaveApp /one "DIR/sync.ini"
WeaveApp /two "DIR/two.ini"');
    my $one = slurp($httpd->dir . '/sync.ini');
    my $two = "${one}mode = embedded\n";
    my $are = sub {
        my ($first, $second, $name) = @_;
        answers($httpd->get('/one/x'), $first,  "$name: the first");
        answers($httpd->get('/two/x'), $second, "$name: the second");
    };
    my $paused = "\n[maintenance]\nmode = on\n";
    $httpd->write('two.ini', $two);
    $httpd->start;
    $are->('off', 'off', 'nothing');
    $httpd->write('sync.ini', $one . $paused);
    becomes($httpd, 503, '/one/x');
    $are->('on', 'off', 'the first ini');
    $httpd->write('sync.ini', $one);
    $httpd->write('two.ini',  $two . $paused);
    becomes($httpd, 503, '/two/x');
    $are->('off', 'on', 'the second ini');
    says($httpd, 0, qr/^maintenance: backoff/, 'backoff', $httpd->dir . '/sync.ini');
    $are->('backoff', 'on', 'weavectl for the first');
    $httpd->write('two.ini', $two);
    becomes($httpd, 200, '/two/x');
    says($httpd, 0, qr/^maintenance: on/, 'on', $httpd->dir . '/two.ini');
    $are->('backoff', 'on', 'weavectl for both');
    says($httpd, 0, qr/^maintenance: off/, 'off');
    $are->('off', 'off', 'weavectl for all');
    ok defined $httpd->stop, 'httpd stops';
};

subtest 'where it is refused' => sub {
    my $httpd = WeaveTest::Httpd->new(
        script => 'maintenance',
        expect => qr/AH00014|WeaveMaintenance not allowed here/);
    my %refused = (
        'another mode'    => ["$HIGH Sometimes", qr/Sometimes is none of/],
        'half a mode'     => ["$HIGH O",         qr/O is none of/],
        'no mode'         => [$HIGH,             qr/takes one argument/],
        'an empty mode'   => [qq($HIGH ""),      qr/takes one argument/],
        'two modes'       => ["$HIGH On Off",    qr/takes one argument/],
        'another key'     => ["$KEY sometimes",  qr/maintenance\.mode.*sometimes/],
        '<Directory>'     => ["<Directory \"DIR\">\n$HIGH On\n</Directory>",
            qr/$HIGH.*<Directory>/],
        '<DirectoryMatch>' => ["<DirectoryMatch x>\n$HIGH On\n</DirectoryMatch>",
            qr/$HIGH.*<DirectoryMatch>/],
        '<Files>'         => ["<Files x>\n$HIGH On\n</Files>", qr/$HIGH.*<Files>/],
        '<If>'            => ["<If true>\n$HIGH On\n</If>", qr/$HIGH.*<If>/],
        '<Limit>'         => ["<Location /x>\n<Limit GET>\n$HIGH On\n</Limit>\n</Location>",
            qr/$HIGH.*<Limit>/],
        'a key in <Files>' => ["<Files x>\n$KEY on\n</Files>", qr/WeaveSet.*<Files>/],
    );
    for my $name (sort keys %refused) {
        my ($conf, $why) = @{ $refused{$name} };
        $httpd->configure("$APP\n$conf");
        my ($status, $output) = $httpd->configtest;
        isnt $status, 0, "$name: configtest fails";
        like $output, $why, 'and says why';
    }
    mkdir $httpd->dir . '/www' or die $!;
    $httpd->write('www/.htaccess', "$HIGH On\n");
    $httpd->write('www/x.txt',     'x');
    $httpd->configure('WeaveApp /app "DIR/sync.ini"
Alias /www "DIR/www"
<Directory "DIR/www">
    AllowOverride All
</Directory>');
    $httpd->start;
    is $httpd->get('/www/x.txt')->status, 500, '.htaccess is no place for it';
    answers($httpd->get('/app'), 'off', 'and does nothing to the application');
};

finish;
