# SPDX-License-Identifier: Apache-2.0
#
# maintenance.allow: who is served while maintenance is on, by the address that
# httpd has for the client.

use strict;
use warnings FATAL => 'all';
use IO::Socket::IP ();
use MIME::Base64 qw(encode_base64);
use Test::More;
use WeaveTest;
use WeaveTest::Client ();
use WeaveTest::Httpd ();
use WeaveTest::Maintenance;
use WeaveTest::Modules ();

my %on = (body => $STORAGE, retry => 1800);

# GET from the address FROM, to the address TO.
sub get_from {
    my ($httpd, $from, $path, %opt) = @_;
    my $socket = IO::Socket::IP->new(
        PeerHost  => $opt{to} || '127.0.0.1',
        PeerPort  => $opt{port} || $httpd->port,
        LocalHost => $from,
        Timeout   => 60,
    ) or return undef;
    my $client = bless {socket => $socket, buffer => '', timeout => 60,
        eof => 0}, 'WeaveTest::Client';
    return $client->request('GET', $path, close => 1, %opt);
}

subtest 'addresses and networks' => sub {
    my @cases = (
        ['127.0.0.2',               '127.0.0.2', '127.0.0.1'],
        ['127.0.0.2/32',            '127.0.0.2', '127.0.0.3'],
        ['127.0.1.0/24',            '127.0.1.9', '127.0.2.9'],
        ['127.0.1.0/255.255.255.0', '127.0.1.9', '127.0.2.9'],
        ['::1, 10.0.0.0/8 127.9.9.9', '127.9.9.9', '127.0.0.1'],
        ['0.0.0.0/0 ::/0',          '127.0.0.1', undef],
        ['::/0',                    undef,       '127.0.0.1'],
    );
    my $httpd = paused('On', conf => join '', map { <<"END" } 0 .. $#cases);
<Location /1.1/$_/>
    WeaveSet maintenance.allow "$cases[$_][0]"
</Location>
END
    for my $i (0 .. $#cases) {
        my ($nets, $inside, $outside) = @{ $cases[$i] };
        is_served(get_from($httpd, $inside, "/1.1/$i/x"),
            "$inside is in $nets") if $inside;
        is_refusal(get_from($httpd, $outside, "/1.1/$i/x"),
            "$outside is not in $nets", %on) if $outside;
    }
};

for my $mode (modes()) {
    subtest "whom it lets pass, $mode" => sub {
        my $httpd = paused('On', mode => $mode, expect => qr/AH01617|AH01618/,
            more => "[maintenance]\nallow =\n  192.0.2.0/24\n  127.0.0.2\n"
                . "[global]\nheartbeat_page = /are/you/well/\n",
            conf => <<"END");
<Location /backoff>
$ASKS</Location>
END
        $httpd->write('passwords', '');
        my $note = new_note();
        is_served(get_from($httpd, '127.0.0.2', '/1.1/x', note => $note),
            'one that is listed');
        is_deeply [notes($note, 1)], ['asked GET /1.1/x'], 'by the application';
        is_refusal(get_from($httpd, '127.0.0.1', '/1.1/x'), 'another', %on);
        is_refusal(get_from($httpd, $_, '/are/you/well'),
            "$_: the application is not well", %on)
            for '127.0.0.1', '127.0.0.2';
        is_served(get_from($httpd, '127.0.0.2', '/__heartbeat__'),
            'its page is where it says');
        is get_from($httpd, '127.0.0.2', '/__lbheartbeat__')->status, 200,
            'and httpd is';
        my $res = get_from($httpd, '127.0.0.2', '/backoff');
        is $res->status, 401, 'who passes is asked who he is';
        has_no_backoff($res, 'as ever');
    };
}

subtest 'other modes' => sub {
    for my $mode (qw(Backoff Drain)) {
        my $httpd = paused($mode, set => ['allow 127.0.0.2']);
        is_served(get_from($httpd, '127.0.0.2', '/1.1/u/info/collections'),
            "$mode: nobody tells them");
        my $res = get_from($httpd, '127.0.0.1', '/1.1/x');
        has_backoff($res, 'others are told', retry => 1800);
    }
};

# Debian's `Listen 80` is one socket for both families.
subtest 'IPv6' => sub {
    my $port = WeaveTest::Httpd::free_port();
    plan skip_all => 'no IPv6 here'
        unless IO::Socket::IP->new(LocalHost => '::1', Listen => 1);
    my $httpd = paused('On', conf => <<"END");
Listen [::]:$port
<Location /1.1/six/>
    WeaveSet maintenance.allow ::1
</Location>
<Location /1.1/net/>
    WeaveSet maintenance.allow "::/16"
</Location>
<Location /1.1/four/>
    WeaveSet maintenance.allow 127.0.0.2
</Location>
END
    my @six = (to => '::1', port => $port);
    plan skip_all => 'httpd has no IPv6'
        unless get_from($httpd, undef, '/', @six);
    is_served(get_from($httpd, undef, '/1.1/six/x', @six), 'an address');
    is_served(get_from($httpd, undef, '/1.1/net/x', @six), 'a network');
    is_refusal(get_from($httpd, undef, '/1.1/four/x', @six), 'of IPv4', %on);
    SKIP: {
        my $res = get_from($httpd, '127.0.0.2', '/1.1/four/x', port => $port);
        skip 'sockets of IPv6 are for IPv6 only', 1 unless $res;
        is_served($res, 'IPv4 over a socket of IPv6');
        is_refusal(get_from($httpd, '127.0.0.2', '/1.1/six/x', port => $port),
            'is no IPv6', %on);
    }
};

subtest 'mod_remoteip' => sub {
    my $so = WeaveTest::Modules::ask_apxs(conf_var('apxs') || 'apxs',
        'LIBEXECDIR') . '/mod_remoteip.so';
    plan skip_all => 'no mod_remoteip' unless -e $so;
    my $httpd = paused('On', set => ['allow "192.0.2.7 127.0.0.9"'],
        conf => <<"END");
<IfModule !remoteip_module>
    LoadModule remoteip_module "$so"
</IfModule>
RemoteIPHeader X-Forwarded-For
RemoteIPInternalProxy 127.0.0.1
END
    my @via = map { [headers => ['X-Forwarded-For' => $_]] }
        '192.0.2.7', '192.0.2.8', '192.0.2.7, 192.0.2.8';
    is_served(get_from($httpd, '127.0.0.1', '/1.1/x', @{ $via[0] }),
        'the address that a proxy names');
    is_refusal(get_from($httpd, '127.0.0.1', '/1.1/x', @{ $via[$_] }),
        "another ($_)", %on) for 1, 2;
    is_refusal(get_from($httpd, '127.0.0.2', '/1.1/x', @{ $via[0] }),
        'a client that calls itself a proxy', %on);
    is_served(get_from($httpd, '127.0.0.9', '/1.1/x'), 'without a proxy');
};

subtest 'configtest' => sub {
    for my $bad ('localhost', '127.1', '127.0.0.1/33', '::1/129', '300.0.0.1', '/8',
        '127.0.0.1 nonsense', '127.0.0.1/', '127.0.0.1/x') {
        my $httpd = paused('On', start => 0, set => [qq(allow "$bad")]);
        my ($status, $output) = $httpd->configtest;
        isnt $status, 0, "$bad: an error";
        like $output, qr/maintenance\.allow/, 'that names the key';
    }
    my $httpd = paused('On', start => 0,
        more => "[maintenance]\nallow = 127.0.0.1,, nowhere\n");
    my ($status, $output) = $httpd->configtest;
    isnt $status, 0, 'in sync.ini too';
    like $output, qr/sync\.ini:\d+: .*maintenance\.allow/, 'with its line';
};

finish;
