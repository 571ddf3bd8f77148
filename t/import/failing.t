# SPDX-License-Identifier: Apache-2.0
#
# A script that cannot be imported: a plain 503 for clients, or that of Sync
# (SYNC.md, section 1) where maintenance.style says so, the traceback once per
# attempt, and a new attempt when the file changes or after a growing pause.

use strict;
use warnings FATAL => 'all';
use Test::More;
use Time::HiRes qw(sleep time);
use WeaveTest;
use WeaveTest::Httpd ();
use WeaveTest::Maintenance;
use WeaveTest::Workers qw(weavectl);

my $fixed = <<'END';
def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"mended"]
END

# One child, so that what is logged can be counted.
my $one_child = mpm() eq 'prefork'
    ? "StartServers 1\nMinSpareServers 1\nMaxSpareServers 1\n"
        . "ServerLimit 1\nMaxRequestWorkers 1\n"
    : "StartServers 1\nServerLimit 1\nMaxRequestWorkers 8\n"
        . "MinSpareThreads 1\nMaxSpareThreads 8\n";

# Whatever an attempt logs, it may log again while a test looks elsewhere.
sub start {
    my ($app, %opt) = @_;
    my $httpd = WeaveTest::Httpd->new(
        app    => $app,
        expect => $opt{expect} || qr/./,
        more   => $opt{more},
        conf   => qq($one_child\nWeaveApp / "DIR/sync.ini"\n) . ($opt{conf} || ''),
    );
    $httpd->start;
    return $httpd;
}

sub is_503 {
    my ($res, $name) = @_;
    is_plain_refusal($res, "$name: 503", body => $FAILS);
}

sub ends {
    my $httpd = shift;
    ok defined $httpd->stop, 'httpd stops';
    $httpd->no_crash;
}

my %broken = (
    'raises'          => ["import nothing_like_this\n",
        qr/ModuleNotFoundError: No module named 'nothing_like_this'/],
    'syntax error'    => ["def broken(:\n", qr/SyntaxError/],
    'no callable'     => ["x = 1\n", qr/there is no 'application' in \S+: wsgi\.callable/],
    'not callable'    => ["application = 42\n", qr/application.*callable|callable.*application|cannot be called/],
    'SystemExit'      => ["import sys\nsys.exit(3)\n", qr/SystemExit/],
    'os-level text'   => ["raise OSError(13, 'caf\xe9', '/x')\n", qr/SyntaxError|PermissionError/],
);

# The pauses that LOG announces, once for each attempt: 1 s, 2 s, 4 s...
sub are_pauses {
    my $log = shift;
    my @pauses = $log =~ /:error\b.* WEAVE0020.* or in (\d+) s$/mg;
    is_deeply \@pauses, [map { 2**$_ } 0 .. ($#pauses > 0 ? $#pauses : 0)],
        'the log says what comes next, once';
    return @pauses;
}

my %httpd;
for my $name (sort keys %broken) {
    subtest $name => sub {
        my ($text, $want) = @{ $broken{$name} };
        my $httpd = $httpd{$name} = start($text);
        is_503($httpd->get('/1.1/u/info/collections'), $name);
        my $log = $httpd->log->take(qr/WEAVE0020/);
        like $log, qr/^weave:error .*$want/m, 'the log says why';
        my ($exit, $status) = weavectl($httpd, '-s', $httpd->state, 'status');
        like $status, qr/^  last error: \d+ child(?:ren)? of httpd cannot import the application: .*$want/m,
            'and so does weavectl';
        my $attempts = are_pauses($log);
        cmp_ok scalar(() = $log =~ /Traceback/g), '<=', $attempts,
            'at most one traceback';
        $httpd->write('app.wsgi', $fixed);
    };
}
subtest 'all of them mended' => sub {
    for my $name (sort keys %httpd) {
        my $httpd = $httpd{$name};
        ok eventually(sub { $httpd->get('/')->body eq 'mended' }),
            "$name: without a restart";
        unlike +(weavectl($httpd, '-s', $httpd->state, 'status'))[1],
            qr/last error/, 'and nothing is wrong';
    }
    $_->wait_until_idle for values %httpd;
    $_->signal('TERM') for values %httpd;
    ends($_) for values %httpd;
};

# When the attempts that HTTPD has logged have failed, in seconds.
sub times_of {
    my $httpd = shift;
    my @times = map { my ($h, $m, $s) = split /:/; ($h * 60 + $m) * 60 + $s }
        $httpd->log_text =~ /^\[[^]]*?(\d+:\d+:[\d.]+)[^]]*\].* WEAVE0020/mg;
    $_ += $_ < $times[0] ? 86_400 : 0 for @times; # midnight
    return @times;
}

subtest 'attempts grow rare' => sub {
    my $httpd = start("raise ValueError('again')\n");
    my ($others, @times) = 0;
    ok eventually(sub {
        $others++ if $httpd->get('/')->status != 503;
        @times = times_of($httpd);
        return @times >= 3;
    }), 'tried again';
    is $others, 0, 'each request meanwhile is a 503';
    my $log = $httpd->log_text;
    my @pauses = are_pauses($log);
    cmp_ok $times[$_] - $times[ $_ - 1 ], '>', $pauses[ $_ - 1 ] - 0.1,
        "after a pause of $pauses[$_ - 1] s" for 1 .. $#times;
    cmp_ok scalar(() = $log =~ /ValueError: again/g), '<=', @pauses + 1,
        'not at each request';
    is scalar(() = $log =~ /Traceback/g),
        scalar(() = $log =~ /ValueError: again/g), 'one traceback each';
    ends($httpd);
};

subtest 'what clients read' => sub {
    my $httpd = start("raise ValueError('x')\n", conf => <<'END');
WeaveSet maintenance.message "We are moving house."
WeaveSet maintenance.page "DIR/page.html"
WeaveApp /sync "DIR/sync.ini"
<Location /sync>
    WeaveSet maintenance.style sync
</Location>
END
    $httpd->write('page.html', '{message}');
    is_failure($httpd->get("/sync$_->[0]"), "of Sync: $_->[0]",
        body => $_->[1]) for @PLACES;
    is_plain_refusal($httpd->get($_->[0]), "not of Sync: $_->[0]",
        body => $FAILS) for @PLACES;
    # it was a maintenance, and in JSON
    my %html = (type => 'text/html; charset=utf-8');
    my @asks = (headers => [Accept => 'text/html,*/*;q=0.1']);
    my $page = $httpd->get('/', @asks);
    is_plain_refusal($page, 'a page for people', %html);
    like $page->body, qr/<h1>Not available<\/h1>/, 'that says what it is';
    unlike $page->body, qr/maintenance|moving|pause/, 'and not what it is not';
    my $sync = $httpd->get('/sync/', @asks);
    is_failure($sync, 'of Sync, too', %html, body => $page->body);
    is $httpd->request('POST', '/1.1/u/storage/x', body => '[]')->status, 503,
        'POST';
    is $httpd->request('HEAD', '/1.1/u')->status, 503, 'HEAD';
    ends($httpd);
};

subtest 'an import that hangs' => sub {
    my $begin = time;
    my $httpd = start("import time\ntime.sleep(100)\n",
        more => "[limits]\nstartup_timeout = 1\n");
    is_503($httpd->get('/'), 'over startup_timeout');
    my $took = time - $begin;
    cmp_ok $took, '>', 0.9, 'after waiting';
    cmp_ok $took, '<', 30, 'no longer than that';
    my $seconds = $httpd->stop;
    ok defined $seconds, 'and httpd can be stopped';
    $httpd->no_crash; # it would kill the child after 9 s
};

subtest 'a slow import' => sub {
    my $httpd = start("import time\ntime.sleep(1.5)\n$fixed",
        expect => qr/AH00161/); # one prefork child, two clients
    my $begin = time;
    is $httpd->get('/')->body, 'mended', 'first requests wait for it';
    cmp_ok time - $begin, '<', 30, 'no longer than needed';
    ends($httpd);
    $httpd->quiet;
};

finish;
