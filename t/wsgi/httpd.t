# SPDX-License-Identifier: Apache-2.0
#
# The mount among the other parts of httpd: static files, rewriting, filters,
# virtual hosts, pages that include answers.

use strict;
use warnings FATAL => 'all';
use Test::More;
use WeaveTest;
use WeaveTest::Httpd ();
use WeaveTest::Modules ();

subtest 'static files' => sub {
    my $file = "a plain file of httpd\n";
    is get('/alias/plain.txt')->body, $file, 'an Alias wins over the mount';
    is get('/to-a-file')->body, $file, 'a rewrite to a file too';
    is get('/plain.txt', site => 'mounts')->body, $file,
        'and what is beside it is httpd\'s';
    is get('/alias/missing.txt')->status, 404, 'also when it is not there';
};

subtest 'rewriting' => sub {
    my $env = json('/rewritten/x?q=1');
    is $env->{PATH_INFO}, '/environ/from-rewrite/x',
        'PATH_INFO is what <Location> saw';
    is $env->{REQUEST_URI}, '/rewritten/x?q=1', 'REQUEST_URI stays raw';
    is $env->{QUERY_STRING}, 'q=1', 'the query stays';
};

subtest '<Location>' => sub {
    for my $path (qw(/denied /denied/ /denied/x //denied /./denied
        /x/../denied /%64enied /denied//x)) {
        is get($path, app => 'hello')->status, 403, "$path is refused";
    }
    is get('/denied-not', app => 'hello')->status, 200, 'but not its neighbour';
    expect_log(qr/AH01630/);
    my $res = get('/status-inside?auto');
    like $res->body, qr/^Total Accesses|^ServerVersion|Scoreboard/m,
        'a handler inside the mount wins';
};

subtest 'output filters' => sub {
    my $res = get('/deflated/many', app => 'iterables',
        headers => ['Accept-Encoding' => 'gzip']);
    is $res->header('Content-Encoding'), 'gzip', 'mod_deflate works on it';
    ok $res->complete, 'the compressed body is whole';
    require IO::Uncompress::Gunzip;
    my ($in, $out) = ($res->body, '');
    IO::Uncompress::Gunzip::gunzip(\$in, \$out);
    is $out, join('', map { "$_\n" } 0 .. 99999), 'and the same';
    logged(qr/ValueError: later/, sub {
        $res = get('/deflated/raise_later', app => 'iterables',
            headers => ['Accept-Encoding' => 'gzip']);
    });
    # mod_deflate may have kept all of it, the head too
    ok !$res->complete || $res->status == 502,
        'an answer that breaks off is cut through the filter';
};

subtest 'error pages' => sub {
    my $res = get('/headers/status/own_reason');
    is $res->body, 'body', 'an error of the application is its own';
    my $log = logged(qr/ValueError/, sub {
        $res = get('/exceptions/value_error');
    });
    is $res->body, "httpd's own words for 500", 'one of ours is httpd\'s';
};

subtest 'other modules' => sub {
    my $res = get('/environ/told');
    my $env = JSON::PP->new->decode($res->body);
    is $env->{TOLD_BY_HTTPD}, 'yes', 'SetEnv';
    is $env->{HTTP_X_TOLD}, 'in a header', 'RequestHeader';
    is $res->header('X-Answer-Told'), 'yes', 'Header';
    ok !exists json('/environ')->{TOLD_BY_HTTPD}, 'only where they stand';

    is get('/alias/page.shtml')->body, "(Hello, world!)\n",
        'a page of httpd includes an answer';
    $res = get('/refused');
    is $res->status, 200, 'an ErrorDocument of ours decides the status';
    $env = JSON::PP->new->decode($res->body);
    is $env->{PATH_INFO}, '/environ/error-page', 'has its own path';
    is $env->{REQUEST_URI}, '/refused', 'with the REQUEST_URI of the client';
    is $env->{REDIRECT_STATUS}, '403', 'and says why it is asked';
};

subtest 'LimitRequestBody' => sub {
    for my $body ([body => 'x' x 101], [chunked => ['x' x 60, 'x' x 60]]) {
        my $res = request('POST', '/limited/read_all', app => 'input', @$body);
        is $res->status, 413, "$body->[0]: too large is a 413";
    }
    is request('POST', '/limited/read_all', app => 'input', body => 'x' x 100)
        ->status, 200, 'as large as allowed is not';
    expect_log(qr/AH01587|AH01588|larger than the configured limit/);
};

subtest 'ranges' => sub {
    my $res = get('/hello', headers => [Range => 'bytes=0-4']);
    if ($res->status == 206) {
        is $res->body, 'Hello', 'served by httpd\'s filter';
        is $res->header('Content-Range'), 'bytes 0-4/13', 'rightly';
    }
    else {
        is $res->status, 200, 'or left alone';
        is $res->body, 'Hello, world!', 'whole';
    }
    spew(root() . '/htdocs/big.bin', join '', map { "$_\n" } 1 .. 50000);
    $res = get('/file_wrapper/offset?at=0', headers => [Range => 'bytes=2-5']);
    is substr($res->body, 0, 4), $res->status == 206 ? "2\n3\n" : "1\n2\n",
        'a file';
    $res = get('/iterables/generator', headers => [Range => 'bytes=0-0']);
    like $res->body, $res->status == 206 ? qr/^a$/ : qr/^abc$/, 'a stream too';
};

subtest 'methods' => sub {
    for my $method (qw(GET POST PUT DELETE PATCH OPTIONS REPORT WEIRD)) {
        my $res = request($method, '/environ');
        my $env = JSON::PP->new->decode($res->body);
        is $env->{REQUEST_METHOD}, $method, $method;
    }
};

# With an httpd of its own, each subtest names what went wrong before.
my $substitute = WeaveTest::Modules::ask_apxs(conf_var('apxs'), 'LIBEXECDIR')
    . '/mod_substitute.so';

my $httpd = WeaveTest::Httpd->new(
    script => 'httpd',
    conf   => (-e $substitute
        ? "LoadModule substitute_module $substitute\n" : '') . <<'END',
<VirtualHost *:*>
    ServerName a.example
    WeaveApp /    "DIR/sync.ini"
    WeaveApp /sub "DIR/sync.ini"
    <Location /httpd/outer>
        Options +Includes
        SetOutputFilter INCLUDES
    </Location>
    <IfModule substitute_module>
        <Location /httpd/long_line>
            SetOutputFilter SUBSTITUTE
            Substitute s/line/lines/
            SubstituteMaxLineLength 3
        </Location>
    </IfModule>
</VirtualHost>
<VirtualHost *:*>
    ServerName b.example
    WeaveApp / "DIR/sync.ini"
    WeaveSet wsgi.environ.ONLY_B yes
</VirtualHost>
END
);
$httpd->start;

# A name that one virtual host set was in the environ of all.
subtest 'WeaveSet in a virtual host' => sub {
    my $seen = sub {
        my $res = $httpd->get('/httpd/environ_of', host => "$_[0].example");
        return JSON::PP->new->decode($res->body)->{ONLY_B};
    };
    is $seen->('b'), 'yes', 'is there';
    is $seen->('a'), undef, 'and nowhere else';
};

# The part took the place of the page: its lines had no client any more; and
# it had the SCRIPT_NAME, PATH_INFO and QUERY_STRING of the page.
subtest 'an answer in an answer' => sub {
    my @lines;
    $httpd->quiet('before it');
    my $body = $httpd->get('/httpd/outer?out=1', host => 'a.example')->body;
    @lines = grep { $_->{text} =~ /the part$/ }
        $httpd->log->take_lines(qr/printed after the part/);
    my ($part) = $body =~ /^\[(\{.*\})\]set by the page$/s;
    ok $part, 'is included' or diag $body;
    my %own = (
        SCRIPT_NAME    => '/sub',
        PATH_INFO      => '/httpd/inner/x y',
        QUERY_STRING   => 'in=1',
        REQUEST_METHOD => 'GET',
        context        => 'nothing',
    );
    my $seen = JSON::PP->new->decode($part || '{}');
    is_deeply $seen, \%own, 'it has its own place';
    is scalar @lines, 4, 'what both write is logged';
    is $lines[1]{text} =~ /inside the part/, 1, 'in its order';
    isnt $lines[0]{id}, '-', 'before it, the lines name the request';
    is $_->{id}, $lines[0]{id}, 'after it too' for @lines[2, 3];
};

# The connection closed without a word.
subtest 'a filter that fails' => sub {
    plan skip_all => 'no mod_substitute here' unless -e $substitute;
    my $note = new_note();
    my $res;
    $httpd->logged(qr/AH01328|too long/i, sub {
        $res = $httpd->get('/httpd/long_line', host => 'a.example',
            note => $note);
    });
    is_deeply [notes($note, 1)], ['called'], 'the application answers';
    is $res->status, 500, 'the client gets a 500';
    unlike $res->body, qr/a line that is longer/, 'and nothing of it';
    is $httpd->get('/httpd/environ_of')->status, 200, 'the server goes on';
};

# What mod_proxy would do with it is not for applications.
subtest 'CONNECT' => sub {
    my $note = new_note();
    my $res = $httpd->request('CONNECT', 'a.example:443', note => $note);
    like $res->status, qr/^40[05]$/, 'is refused';
    $res = $httpd->request('CONNECT', '/httpd/long_line', note => $note);
    like $res->status, qr/^40[05]$/, 'with a path too';
    is_deeply [notes($note)], [], 'without the application';
};

ok defined $httpd->stop, 'it stops';
$httpd->no_crash;
finish;
