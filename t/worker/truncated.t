# SPDX-License-Identifier: Apache-2.0
#
# An answer that lacks its end never looks whole, whatever filters it goes
# through, whatever the protocol, in both modes. What the client sees is read
# from its socket.

use strict;
use warnings FATAL => 'all';
use Errno qw(ECONNRESET);
use Test::More;
use WeaveTest;
use WeaveTest::H2 ();
use WeaveTest::Httpd ();
use WeaveTest::Modules ();
use WeaveTest::Setup ();

# A filter, the modules that it needs, and its directives.
my @FILTERS = (
    [none    => [], ''],
    [deflate => ['deflate'], 'SetOutputFilter DEFLATE'],
    [brotli  => ['brotli'], 'SetOutputFilter BROTLI_COMPRESS'],
    [sed     => ['sed'], "AddOutputFilterByType Sed text/html\n"
        . 'OutputSed "s/part/PART/g"'],
    [substitute => ['substitute'], "AddOutputFilterByType SUBSTITUTE text/html\n"
        . 'Substitute s/part/PART/n'],
    [security => ['unique_id', 'security2'], "SecRuleEngine On\n"
        . "SecResponseBodyAccess On\nSecResponseBodyMimeType text/html"],
    [include    => ['include'], "Options +Includes\nSetOutputFilter INCLUDES"],
    [ext_filter => ['ext_filter'], 'SetOutputFilter cat'],
    [headers    => ['headers'], 'Header set X-Filter yes'],
    [ratelimit  => ['ratelimit', 'env'],
        "SetOutputFilter RATE_LIMIT\nSetEnv rate-limit 400"],
    [buffer => ['buffer'], 'SetOutputFilter BUFFER'],
    [html   => ['xml2enc', 'proxy', 'proxy_html'],
        "ProxyHTMLEnable On\nProxyHTMLURLMap /a /b"],
    [provider => ['filter', 'substitute'], "FilterDeclare swap\n"
        . "FilterProvider swap SUBSTITUTE \"%{CONTENT_TYPE} =~ /html/\"\n"
        . "FilterChain swap\nSubstitute s/part/PART/n"],
    [cache => ['cache', 'cache_disk'], ''],
    [all => ['substitute', 'sed', 'deflate'], 'SetOutputFilter '
        . "SUBSTITUTE;Sed;DEFLATE\nOutputSed s/a/b/\nSubstitute s/part/PART/"],
);

my $dir = WeaveTest::Modules::ask_apxs(conf_var('apxs'), 'LIBEXECDIR');
my $has_tls = eval { require IO::Socket::SSL } && -e "$dir/mod_ssl.so";
my $has_h2  = mpm() ne 'prefork' && -e "$dir/mod_http2.so";

# A worker that dies too often is not replaced at once.
my %dies = map { $_ => 1 } qw(none security);

sub missing { return grep { !-e "$dir/mod_$_.so" } @{ $_[0][1] } }

my (%loaded, $conf);
sub load {
    my $name = shift;
    my $known = slurp(root() . '/conf/modules.conf');
    $conf .= "LoadModule ${name}_module $dir/mod_$name.so\n"
        unless $loaded{$name}++ || $known =~ /\b${name}_module\b/;
}

my $tls_port = WeaveTest::Httpd::free_port();
$conf = '';
for my $filter (grep { !missing($_) } @FILTERS) {
    load($_) for @{ $filter->[1] };
}
$conf .= <<'END';
WeaveApp /processes "DIR/sync.ini"
WeaveApp /embedded "DIR/embedded.ini"
<IfModule ext_filter_module>
    ExtFilterDefine cat mode=output cmd=/bin/cat
</IfModule>
<IfModule cache_disk_module>
    CacheRoot "DIR/cache"
    CacheHeader On
    CacheEnable disk /processes/cache
    CacheEnable disk /embedded/cache
</IfModule>
<IfModule http2_module>
    Protocols h2c http/1.1
</IfModule>
<LocationMatch "/streamed/">
    WeaveSet wsgi.stream_input on
</LocationMatch>
Alias /pages/ "DIR/pages/"
<Directory "DIR/pages">
    Options +Includes
    SetOutputFilter INCLUDES
    FallbackResource /processes/cache/whole
</Directory>
<LocationMatch "/failing/">
    <IfModule headers_module>
        Header always set X-Always yes
    </IfModule>
    SetOutputFilter SUBSTITUTE
    SubstituteMaxLineLength 100
    Substitute s/part/PART/
</LocationMatch>
<IfModule security2_module>
    <LocationMatch "/(denied|limited)/">
        SecRuleEngine On
        SecResponseBodyAccess On
        SecResponseBodyMimeType text/html
        SecResponseBodyLimit 200
        SecRule RESPONSE_BODY "@contains part" "id:1,phase:4,deny,status:403"
    </LocationMatch>
    <LocationMatch "/denied/">
        SecResponseBodyLimit 200000
    </LocationMatch>
</IfModule>
END
$conf .= <<"END" if $has_tls;
Listen 127.0.0.1:$tls_port
<VirtualHost 127.0.0.1:$tls_port>
    SSLEngine On
    SSLCertificateFile "DIR/tls.crt"
    SSLCertificateKeyFile "DIR/tls.key"
</VirtualHost>
END
for my $filter (grep { !missing($_) } @FILTERS) {
    $conf .= "<Location $_/$filter->[0]>\n$filter->[2]\n</Location>\n"
        for qw(/processes /embedded);
}
my $httpd = WeaveTest::Httpd->new(
    script => 'truncated', mode => '', conf => $conf,
    expect => qr/WEAVE0041|WEAVE0042|WEAVE0075|WEAVE0137|Traceback|^  |ValueError/,
);
mkdir $httpd->dir . '/cache' or die $!;
$httpd->write('embedded.ini',
    $httpd->default_ini("[workers]\nmode = embedded\n"));
WeaveTest::Setup::certificate($httpd->dir) if $has_tls;
$httpd->start;

# What comes for TARGET until the connection ends, and how it ends: "FIN" or
# "reset". Over TLS a FIN without close_notify is "no notify".
sub ask {
    my ($version, $target, %opt) = @_;
    my $client = WeaveTest::Client->new(port => $httpd->port, %opt);
    my $method = $opt{method} || 'GET';
    $client->send("$method $target HTTP/$version\r\nHost: localhost\r\n"
            . "Accept-Encoding: gzip, br\r\nConnection: close\r\n\r\n");
    my ($bytes, $got, $socket) = ('', undef, $client->{socket});
    while ($client->readable(60)) {
        $! = 0;
        $got = sysread $socket, $bytes, 65536, length $bytes;
        last unless $got;
    }
    return ($bytes, $! == ECONNRESET ? 'reset' : "$!") unless defined $got;
    return ($bytes, 'FIN')
        if !$opt{tls} || Net::SSLeay::get_shutdown($socket->_get_ssl_object) & 2;
    return ($bytes, 'no notify');
}

# Does a client have to take that for a whole answer?
sub looks_whole {
    my ($bytes, $end) = @_;
    my ($head, $body) = split /\r\n\r\n/, $bytes, 2;
    return 0 unless defined $body && $head =~ m{^HTTP/1\.[01] 200 };
    return $body =~ /(?:\A|\r\n)0\r\n\r\n\z/ if $head =~ /^Transfer-Encoding: chunked/mi;
    return length $body >= $1 if $head =~ /^Content-Length: (\d+)/mi;
    return $end eq 'FIN';
}

sub not_whole {
    my ($name, $bytes, $end) = @_;
    my $is_mixed = $bytes =~ m{^HTTP/1\.1 502 .*a part of}s;
    ok !looks_whole($bytes, $end) && !$is_mixed, $name
        or diag "$end: $bytes";
}

for my $filter (@FILTERS) {
    my $name = $filter->[0];
    my $is_slow = $name eq 'ratelimit';
    subtest $name => sub {
        plan skip_all => "no mod_$_ here" for missing($filter);
        for my $mode (qw(processes embedded)) {
            my $at = "/$mode/$name";
            for my $version ('1.0', '1.1') {
                my ($bytes, $end) = ask($version, "$at/whole");
                ok looks_whole($bytes, $end), "$mode $version: a whole answer"
                    or diag "$end: $bytes";
                for my $case ('raise', $is_slow ? () : qw(raise_long short),
                    $mode eq 'processes' && $dies{$name} ? 'die' : ()) {
                    ($bytes, $end) = ask($version, "$at/$case");
                    not_whole("$mode $version $case", $bytes, $end);
                }
                ($bytes) = ask($version, "$at/list");
                like $bytes, qr{^HTTP/1\.1 502 .*\r\n\r\n<!DOCTYPE}s,
                    "$mode $version: nothing sent yet is a 502";
            }
            h2($mode, $at) if $has_h2;
        }
    };
}

# Streams of before and beside a cut one go on.
sub h2 {
    my ($mode, $at) = @_;
    my $h2    = WeaveTest::H2->new(port => $httpd->port);
    my @whole = map { $h2->start('GET', "$at/whole") } 1, 2;
    for my $case (qw(raise short)) {
        my $stream = $h2->request('GET', "$at/$case");
        ok $stream->{ended}
            && (!$stream->{complete} || $stream->{status} ne '200'),
            "$mode h2 $case" or diag explain $stream;
    }
    push @whole, $h2->start('GET', "$at/whole");
    my @complete = grep { $h2->response($_)->{complete} } @whole;
    is scalar @complete, 3, "$mode h2: other streams are whole";
}

mkdir $httpd->dir . '/pages' or die $!;
subtest 'how it ends' => sub {
    for my $mode (qw(processes embedded)) {
        $httpd->write("pages/cut-$mode.html",
            qq(<!--#include virtual="/$mode/none/raise" -->));
        my (undef, $end) = ask('1.0', "/$mode/none/raise");
        is $end, 'reset', "$mode: without a length a reset";
        (undef, $end) = ask('1.0', "/$mode/none/whole");
        is $end, 'FIN', "$mode: which a whole answer is without";
        my ($bytes) = ask('1.1', "/$mode/none/raise");
        is scalar(() = $bytes =~ /a part/g), 3, "$mode: what there was has come";
        my $client = $httpd->client;
        is $client->request('GET', "/$mode/none/list")->status, 502,
            "$mode: a 502";
        is $client->request('GET', "/$mode/none/whole")->status, 200,
            "$mode: leaves the connection as it is";
        $client = $httpd->client;
        $client->send(join '', map { WeaveTest::Client::format_request('GET',
            $_) } "/$mode/none/whole", "/pages/cut-$mode.html", "/$mode/none/whole");
        ok $client->response->complete, "$mode: the answer before it is whole";
        is scalar(() = $client->drain =~ m{HTTP/1.1 200}g), 1,
            "$mode: and none follows the one that is cut";
        ($bytes, $end) = ask('1.1', "/$mode/none/raise", method => 'HEAD');
        like "$end $bytes", qr{^FIN HTTP/1\.1 200 .*\r\n\r\n\z}s,
            "$mode: of a HEAD nothing can be missing";
    }
};

subtest 'TLS' => sub {
    plan skip_all => 'no TLS here' unless $has_tls;
    for my $mode (qw(processes embedded)) {
        for my $version ('1.0', '1.1') {
            my @tls = (port => $tls_port, tls => 1);
            my ($bytes, $end) = ask($version, "/$mode/none/whole", @tls);
            ok looks_whole($bytes, $end), "$mode $version: a whole answer"
                or diag "$end: $bytes";
            for my $filter (qw(none sed security)) {
                ($bytes, $end) = ask($version, "/$mode/$filter/raise", @tls);
                not_whole("$mode $version $filter", $bytes, $end);
                isnt $end, 'FIN', "$mode $version $filter: no close_notify"
                    if $bytes =~ /part/i;
            }
        }
    }
};

subtest 'what mod_cache stores' => sub {
    plan skip_all => 'no mod_cache here' if missing([0, ['cache_disk']]);
    for my $mode (qw(processes embedded)) {
        for my $case (qw(whole raise short)) {
            my ($bytes) = ask('1.1', "/$mode/cache/$case");
            ok $bytes =~ /^X-Cache: HIT/mi ? $case eq 'whole' : $case ne 'whole',
                "$mode $case: " . ($case eq 'whole' ? 'is' : 'is not') . ' stored'
                or diag $bytes;
        }
    }
};

subtest 'what it answers' => sub {
    plan skip_all => 'no mod_cache here' if missing([0, ['cache_disk']]);
    my ($bytes) = ask('1.1', '/pages/missing');
    like $bytes, qr{^HTTP/1\.1 200}, 'FallbackResource leads to the application';
    unlike $bytes, qr/^X-Cache: HIT/mi, 'whatever is stored of the mount';
};

# The page around it would say that an error occurred, or nothing at all.
subtest 'in a page of mod_include' => sub {
    for my $mode (qw(processes embedded)) {
        for my $size (10, 100_000) {
            $httpd->write("pages/$_-$mode-$size.html", 'x' x $size
                . qq(<!--#include virtual="/$mode/none/$_" -->) . 'y' x $size)
                for qw(whole raise);
            my $page = "$mode-$size.html";
            for my $version ('1.0', '1.1') {
                my ($bytes, $end) = ask($version, "/pages/whole-$page");
                ok looks_whole($bytes, $end), "$page $version: a whole one";
                not_whole("$page $version", ask($version, "/pages/raise-$page"));
            }
            next unless $has_h2;
            my $h2 = WeaveTest::H2->new(port => $httpd->port);
            ok !$h2->request('GET', "/pages/raise-$page")->{complete},
                "$page: with HTTP/2 too";
        }
    }
};

# httpd answers a broken chunk itself, in the middle of what comes from us.
subtest 'a request body that breaks off' => sub {
    for my $mode (qw(processes embedded)) {
        my $client = $httpd->client;
        $client->send("POST /$mode/streamed/echo HTTP/1.1\r\nHost: localhost\r\n"
                . "Transfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n");
        ok $client->readable(60), "$mode: the answer begins";
        $client->send("rubbish\r\n");
        my $res = $client->response;
        ok $res->status != 200 || !$res->complete, "$mode: and is cut"
            or diag $res->body;
    }
};

# mod_security says that the filters below it have failed, when they have sent
# its page.
subtest 'a filter that answers instead' => sub {
    plan skip_all => 'no mod_security here' if missing([0, ['security2']]);
    $httpd->log->expect(qr/ModSecurity:/);
    for my $mode (qw(processes embedded)) {
        for (['denied', 'whole', 403], ['denied', 'forbidden', 403],
            ['limited', 'long_list', 500]) {
            my ($at, $case, $status) = @$_;
            my $target = "/$mode/$at/$case";
            for my $version ('1.0', '1.1') {
                my ($bytes, $end) = ask($version, $target);
                like $bytes, qr{^HTTP/1\.1 $status .*</html>}s,
                    "$target $version: its page"
                    or diag $end;
                is $end, 'FIN', "$target $version: and no reset";
            }
            next unless $has_h2;
            my $stream = WeaveTest::H2->new(port => $httpd->port)
                ->request('GET', $target);
            ok $stream->{complete} && $stream->{body} =~ /<title>$status /,
                "$target h2: its page"
                or diag explain $stream;
        }
    }
};

subtest 'a filter that fails' => sub {
    plan skip_all => 'no mod_substitute here' if missing([0, ['substitute']]);
    $httpd->log->expect(qr/AH01328|Line too long/);
    for my $mode (qw(processes embedded)) {
        not_whole("$mode $_", ask($_, "/$mode/failing/long_line"))
            for '1.0', '1.1';
        not_whole("$mode $_, a list", ask($_, "/$mode/failing/long_list"))
            for '1.0', '1.1';
    }
};

ok defined $httpd->stop, 'httpd stops';
finish;
