# SPDX-License-Identifier: Apache-2.0
#
# Maintenance is on: what every path says, to every method, and that nobody was
# asked before: not Python, not those who want to know who the client is.

use strict;
use warnings FATAL => 'all';
use MIME::Base64 qw(encode_base64);
use Test::More;
use WeaveTest;
use WeaveTest::Client ();
use WeaveTest::H2 ();
use WeaveTest::Maintenance;

my @METHODS = qw(GET HEAD POST PUT DELETE OPTIONS PROPFIND);

# Each method at each place below PREFIX.
sub everywhere {
    my ($httpd, $prefix, @more) = @_;
    my $note = new_note();
    for my $place (@PLACES) {
        my ($path, $body) = @$place;
        for my $method (@METHODS) {
            is_refusal($httpd->request($method, $prefix . $path, note => $note,
                @more), "$method $prefix$path", body => $body, retry => 77,
                head => $method eq 'HEAD');
        }
        is_refusal($httpd->request($_, $prefix . $path, note => $note,
            body => '[{"id": "a"}]', @more), "$_ $prefix$path with a body",
            body => $body, retry => 77) for qw(POST PUT DELETE GET);
    }
    is_deeply [notes($note)], [], 'the application is never asked';
}

for my $mode (modes()) {
    subtest "on, $mode" => sub {
        my $httpd = paused('On', mode => $mode, set => ['retry_after 77'],
            mount => <<'END');
WeaveApp / "DIR/sync.ini"
WeaveApp /below/it "DIR/sync.ini"
END
        everywhere($httpd, '');
        everywhere($httpd, '/below/it', headers => ['User-Agent' => 'Mozilla']);
        is_refusal($httpd->get('/below/it'), 'the mount itself',
            body => $STORAGE, retry => 77);
        is_refusal($httpd->get('//1.5//42'), 'slashes are merged',
            body => $V15, retry => 77);
    };
}

subtest 'connections' => sub {
    my $httpd = paused('On', conf => <<'END');
<IfModule http2_module>
    Protocols h2c http/1.1
</IfModule>
<Location /elsewhere>
    SetHandler server-status
</Location>
END
    my $res = $httpd->request('GET', '/1.1/u/info/collections',
        version => '1.0');
    is_refusal($res, 'HTTP/1.0', body => $STORAGE, retry => 1800);

    my $client = $httpd->client;
    is $client->request('GET', '/elsewhere?auto')->status, 200,
        'what httpd answers below the mount';
    is_refusal($client->request('GET', '/1.5/1/info/collections'),
        'a connection that was used before', body => $V15);
    $client = $httpd->client;
    $client->send(WeaveTest::Client::format_request('HEAD', '/1.5/1/x'));
    unlike $client->drain, qr/\r\n\r\n./s, 'no byte of a body behind a HEAD';

    like $httpd->request('TRACE', '/1.1/x')->body, qr{^TRACE /1\.1/x },
        'TRACE is for httpd';
    is $httpd->request('OPTIONS', '*')->status, 200, 'OPTIONS * too';
    is $httpd->get("/1.1/u/storage/$_")->status, 404,
        "$_ in a path is refused by httpd" for qw(a%2Fb a%00b);
    is $httpd->get('/1.1/' . 'x' x 10_000)->status, 414, 'so is a long one';
    http2($httpd);
};

sub http2 {
    my $httpd = shift;
    SKIP: {
        my $h2 = mpm() ne 'prefork' && WeaveTest::H2->new(port => $httpd->port);
        my $note = new_note();
        my $res  = $h2 && $h2->request('GET', '/1.5/1/x', note => $note);
        skip 'no HTTP/2', 1 unless $res && $res->{status};
        is $res->{body}, $V15, 'HTTP/2';
        is $h2->request('POST', '/1.1/u/storage/x', body => 'x' x 60_000)
            ->{body}, $STORAGE, 'with a body';
        is $h2->request('HEAD', '/1.5/1/x')->{body}, '', 'HEAD';
        my @ids = map { $h2->start('GET', "/1.0/sync/1.5?$_") } 1 .. 20;
        is scalar(grep { $h2->response($_)->{body} eq $TOKEN } @ids), 20,
            'many streams';
        is_deeply [notes($note)], [], 'the application is not asked';
        my $url  = 'http://127.0.0.1:' . $httpd->port . '/1.5/1/x';
        # curl hangs with a sanitizer that is preloaded
        my $text = `env -u LD_PRELOAD curl -s -i --http2-prior-knowledge $url 2>/dev/null`;
        skip 'no curl with HTTP/2', 1 unless $text =~ s/\r\n\r\n(.*)//s;
        my $body = $1;
        $text =~ s/\r//g;
        $res = WeaveTest::Response->new("$text\n");
        $res->{body} = $body;
        is_refusal($res, 'the headers', body => $V15, retry => 1800);
    }
}

subtest 'before anybody is asked who he is' => sub {
    my $httpd = paused('On', conf => <<"END");
<Location />
$ASKS</Location>
<Location /1.1/denied>
    Require all denied
</Location>
<Location /user/1.0/limited>
    <LimitExcept GET>
        Require all denied
    </LimitExcept>
</Location>
ErrorDocument 503 /1.1/elsewhere
ErrorDocument 401 "httpd's own words"
<IfModule headers_module>
    Header always set X-Always yes
    Header set X-Well yes
</IfModule>
<Location /user/1.0/words>
    ErrorDocument 503 "httpd's own words"
</Location>
<Location /1.1/status>
    SetHandler server-status
    Require all granted
</Location>
END
    $httpd->write('passwords', "u:{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=\n");
    my $has_headers = ($httpd->run('-M'))[1] =~ /headers_module/;
    my @sites = (
        ['/1.1/u/info/collections', 'no credentials'],
        ['/1.1/denied/x',           'denied to everybody'],
        ['/user/1.0/limited',       'a method that is denied', 'PUT'],
        ['/user/1.0/words',         'ErrorDocument 503'],
    );
    for my $site (@sites) {
        my ($path, $name, $method) = @$site;
        is_refusal($httpd->request($method || 'GET', $path), $name,
            body => $STORAGE, retry => 1800,
            more => [$has_headers ? qw(X-Always X-Well) : ()]);
    }
    my @as = (headers => [Authorization => 'Basic '
        . encode_base64('u:wrong', '')]);
    is $httpd->get('/1.1/u/info/collections', @as)->status, 503,
        'wrong credentials';
    is $httpd->get('/1.1/status?auto')->status, 200,
        'a SetHandler in a <Location> wins';

    # the same without maintenance, or the above shows nothing
    my $off = paused('', expect => qr/AH01630/, conf => <<'END');
<Location /1.1/denied>
    Require all denied
</Location>
END
    is $off->get('/1.1/denied/x')->status, 403, 'off: httpd is asked';
};

# It was taken for a handler of somebody else's, so clients were asked who they
# are first.
subtest 'SetHandler none' => sub {
    my $httpd = paused('On', conf => <<"END");
<Location />
    SetHandler none
$ASKS</Location>
END
    $httpd->write('passwords', '');
    is_refusal($httpd->get('/1.1/u/info/collections'), 'is no handler',
        body => $STORAGE, retry => 1800);
    is $httpd->get('/__lbheartbeat__')->status, 200, 'here neither';
};

subtest 'an ErrorDocument of ours, and tokens' => sub {
    my $httpd = paused('', mount => qq(WeaveApp /sync "DIR/sync.ini"\n),
        expect => qr/AH01617|AH01618/, conf => <<"END");
ErrorDocument 401 /sync/1.1/login
<Location /private>
$ASKS</Location>
END
    $httpd->write('passwords', '');
    ok $httpd->get('/private')->header('WWW-Authenticate'), 'who is asked who he is';
    ctl($httpd, 0, 'maintenance', 'on', '--for', '90d');
    is_refusal($httpd->get('/private'), 'is not where that comes to us',
        body => $STORAGE, retry => 604_800);
    is_refusal($httpd->get("/sync/token/1.0/sync/1.5$_"), "a token, '$_'",
        body => $TOKEN, retry => 604_800) for '', '/', '//';
};

# The strictest of all that are around a request.
subtest 'where it is said' => sub {
    my $httpd = paused('Backoff', set => ['retry_after 77'], conf => <<'END');
<Location /1.1/hard>
    WeaveMaintenance On
</Location>
<Location /1.1/hard/soft>
    WeaveMaintenance Off
</Location>
<Location /1.1/set>
    WeaveSet maintenance.mode on
    WeaveSet maintenance.retry_after 99
</Location>
<Location /1.1/set/off>
    WeaveSet maintenance.mode off
</Location>
<VirtualHost *:*>
    ServerName localhost
</VirtualHost>
<VirtualHost *:*>
    ServerName on.example
    WeaveMaintenance On
</VirtualHost>
<VirtualHost *:*>
    ServerName off.example
    WeaveMaintenance Off
    WeaveSet maintenance.mode off
</VirtualHost>
<VirtualHost *:*>
    ServerName set.example
    WeaveSet maintenance.mode on
</VirtualHost>
END
    my %on  = (body => $STORAGE, retry => 77);
    my @see = (
        ['/1.1/x',           'localhost',   77,        'the server'],
        ['/1.1/hard',        'localhost',   \%on,      'a <Location>'],
        ['/1.1/hard/soft/x', 'localhost',   \%on,      'one inside of it'],
        ['/1.1/set/x', 'localhost', {%on, retry => 99}, 'WeaveSet there'],
        ['/1.1/set/off/x',   'localhost',   99,        'inside of that'],
        ['/1.1/x',           'on.example',  \%on,      'a virtual host'],
        ['/1.1/x',           'off.example', 77,        'one with Off'],
        ['/1.1/hard',        'off.example', \%on,      'a <Location> of all'],
        ['/1.1/x',           'set.example', \%on,      'WeaveSet in one'],
    );
    for my $case (@see) {
        my ($path, $host, $want, $name) = @$case;
        my $res = $httpd->get($path, host => $host);
        ref $want ? is_refusal($res, $name, %$want)
            : has_backoff($res, $name, retry => $want);
    }
};

subtest 'on and off, by graceful' => sub {
    my $httpd = paused('', more => "[maintenance]\nspread = 0\n");
    my $ini   = $httpd->default_ini;
    my $mount = qq(WeaveApp / "DIR/sync.ini"\n);
    is_served($httpd->get('/1.1/x'), 'off');
    $httpd->write('sync.ini', "$ini\n[maintenance]\nspread = 0\nmode = On\n");
    is_served($httpd->get('/1.1/x'), 'written, not yet read');
    becomes($httpd, 503, 'sync.ini');
    $httpd->write('sync.ini', $ini);
    becomes($httpd, 200, 'and back');
    $httpd->configure("WeaveMaintenance on\n$mount");
    becomes($httpd, 503, 'the directive');
    $httpd->configure("WeaveMaintenance oFF\n$mount");
    becomes($httpd, 200, 'and back');
    $httpd->configure("WeaveMaintenance Sometimes\n$mount");
    my ($status, $output) = $httpd->configtest;
    isnt $status, 0, 'no such mode';
    like $output, qr/Sometimes is none of Off, Backoff, Drain and On/,
        'says which there are';
};

# Not before the children of before are gone: one that is left may have the
# configuration of two restarts ago, and the next one is written already.
sub becomes {
    my ($httpd, $status, $name) = @_;
    $httpd->renew;
    is $httpd->get('/1.1/x')->status, $status, $name;
    return;
}

finish;
