# SPDX-License-Identifier: Apache-2.0
#
# What people see in their browsers while maintenance is on: a page, where it is
# asked for and no Sync client reads along.

use strict;
use warnings FATAL => 'all';
use Test::More;
use WeaveTest;
use WeaveTest::Maintenance;

my $HTML    = 'text/html; charset=utf-8';
my $BROWSER = 'text/html,application/xhtml+xml,application/xml;q=0.9,'
    . 'image/avif,image/webp,*/*;q=0.8';
my $MOST  = 256 * 1024;
my $UTF16 = "\xff\xfe<\0p\0>\0";

sub asks {
    my ($httpd, $path, $accept, $method) = @_;
    return $httpd->request($method || 'GET', $path,
        headers => [Accept => $accept]);
}

sub is_page {
    my ($res, $name, $page) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    is_refusal($res, $name, type => $HTML, body => $page, retry => 1800);
}

my $httpd = paused('On', set =>
    ['message "Back at <b>12:00</b> & \'sooner\' for {message}s, <script>"']);
my $built_in = asks($httpd, '/', $BROWSER)->body;

subtest 'the built-in page' => sub {
    is_page(asks($httpd, '/', $BROWSER), 'to a browser');
    like $built_in, qr/\A<!DOCTYPE html>.*<\/html>\n\z/s, 'all of it';
    like $built_in, qr/<p>Back at &lt;b&gt;12:00&lt;\/b&gt; &amp; /,
        'with the message, as text';
    like $built_in, qr/for \{message\}s, &lt;script&gt;<\/p>/, 'once';
    my $head = asks($httpd, '/', $BROWSER, 'HEAD');
    is_refusal($head, 'HEAD', type => $HTML, body => $built_in, head => 1);
    is_page($httpd->request($_, '/weave-password-reset', body => 'a=b',
        headers => [Accept => $BROWSER]), "$_ of a form", $built_in)
        for qw(POST PUT);
};

subtest 'who wants it' => sub {
    my @cases = (
        [1, $BROWSER],
        [1, 'text/html'],
        [1, 'Text/HTML'],
        [1, 'text/html;charset=utf-8;q=0.5'],
        [1, 'application/json, text/html'],
        [1, 'application/json;q=0.5,text/html ; q=0.6'],
        [1, '*/*, text/html'],
        [1, '*/*;q=0.1, application/*;q=0.2, text/html;q=0.3'],
        [1, 'text/html;q=1e99'],
        [1, 'text/plain, text/html;level=1'],
        [0, '*/*'],
        [0, 'text/*'],
        [0, '*/*,text/html;q=0.1'],
        [0, 'application/*;q=0.5,*/*;q=0.1,text/html;q=0.4'],
        [0, 'text/html;q=0'],
        [0, 'text/html;q=-1e99'],
        [0, 'text/html;q=nan'],
        [0, 'text/html;Q=0.000'],
        [0, 'text/html;q=0.8, application/json'],
        [0, 'application/json,text/html;q=0.9'],
        [0, 'text/htmlx, xtext/html'],
        [0, 'text/plain;x=text/html'],
        [0, 'application/newlines'],
        [0, 'application/json;q=0.9,*/*;q=0.2'],
        [0, ''],
        [0, ',;=,q;'],
    );
    for my $case (@cases) {
        my ($page, $accept) = @$case;
        my $res = asks($httpd, '/x', $accept);
        $page ? is_page($res, "page: $accept", $built_in)
            : is_refusal($res, "JSON: $accept", body => $STORAGE);
    }
    is_refusal($httpd->get('/x'), 'no Accept', body => $STORAGE);
    is_page($httpd->get('/x', headers =>
        [Accept => 'image/png', Accept => 'text/html']), 'two of them',
        $built_in);
};

subtest 'what clients read stays what it is' => sub {
    my @api = grep { $_->[0] =~ m{^/(?:1|1\.[015]|user|misc)/|/1\.0/sync/} }
        @PLACES;
    is_refusal(asks($httpd, $_->[0], $BROWSER), $_->[0], body => $_->[1])
        for @api;
};

subtest 'no message' => sub {
    like asks(paused('On'), '/', 'text/html')->body, qr/<p><\/p>/, 'none';
    my $ini = paused('On', files =>
        {'a.ini' => "[maintenance]\nmessage = Zur\xc3\xbcck um 12 \xe2\x82\xac\n"},
        mount => qq(WeaveApp / "DIR/a.ini"\n));
    like asks($ini, '/', 'text/html')->body,
        qr/<p>Zur\xc3\xbcck um 12 \xe2\x82\xac<\/p>/, 'in UTF-8';
};

subtest 'the message of two that are as strict' => sub {
    my $httpd = paused('On', set => ['retry_after 77']);
    ctl($httpd, 0, 'maintenance', 'on', '--for', '30m', '--message', 'Back at <4>');
    like asks($httpd, '/', 'text/html')->body, qr/Back at &lt;4&gt;/,
        'the message is that of the one which has one';
    ctl($httpd, 1, 'maintenance', 'off');
    ctl($httpd, 0, 'maintenance', 'drain', '--message', 'Soon');
    like asks($httpd, '/', 'text/html')->body, qr/Soon/,
        'if need be of a weaker one';
};

subtest 'a page of one\'s own' => sub {
    my $text = "<h1>M\xc3\xbcde</h1>{message}<i>{messag}</i>{{message}}\n";
    my $own  = paused('On', files => {'page.html' => $text}, set =>
        ['message "<&>"', 'page DIR/page.html']);
    my $page = "<h1>M\xc3\xbcde</h1>&lt;&amp;&gt;<i>{messag}</i>{&lt;&amp;&gt;}\n";
    is_page(asks($own, '/', 'text/html'), 'is shown', $page);
    is_refusal(asks($own, '/', '*/*'), 'to those who want it', body => $STORAGE);
    is_refusal(asks($own, '/1.1/x', 'text/html'), 'elsewhere',
        body => $STORAGE);
    $own->write('page.html', 'new');
    is_page(asks($own, '/', 'text/html'), 'as it is now', 'new');
    my $large = '{message}' . 'x' x ($MOST - 9);
    $own->write('page.html', $large);
    is_page(asks($own, '/', 'text/html'), 'as large as can be',
        '&lt;&amp;&gt;' . 'x' x ($MOST - 9));

    # the first of these within a minute is said; configtest shows the others
    my $built_in = asks(paused('On', set => ['message "<&>"']), '/',
        'text/html')->body;
    my $log = $own->logged(qr/WEAVE0154/, sub {
        for my $bad ('', "a\0b", $UTF16, "\0") {
            $own->write('page.html', $bad);
            is_page(asks($own, '/', 'text/html'), 'what is no text is not shown',
                $built_in);
        }
        unlink $own->dir . '/page.html';
        like asks($own, '/', 'text/html')->body, qr/<p>&lt;&amp;&gt;<\/p>/,
            'removed: the built-in page';
        like asks($own, '/', 'text/html')->body, qr/Back soon/, 'each time';
        is_refusal(asks($own, '/', '*/*'), 'others do not care',
            body => $STORAGE);
    });
    my @said = $log =~ /WEAVE0154/g;
    my @children = $own->serving;
    cmp_ok scalar @said, '<=', scalar @children, 'once for each child';
    like $log, qr/page\.html, cannot be shown: it is empty/, 'and why';
};

# It was copied once for each of them.
subtest 'the message, again and again' => sub {
    my ($times, $message) = (1000, '&' x 200);
    my $own = paused('On', set => ["message $message", 'page DIR/page.html'],
        files => {'page.html' => '{message}-' x $times . 'end'});
    my $page = ('&amp;' x 200 . '-') x $times . 'end';
    is_page(asks($own, '/', 'text/html'), 'is in all its places', $page)
        for 1 .. 3;
    my ($most) = sort { $b <=> $a } map {
        slurp("/proc/$_/status") =~ /^VmHWM:\s*(\d+)/m
    } $own->serving;
    cmp_ok $most, '<', 200 * 1024, 'and takes no memory beyond it';
};

subtest 'configtest' => sub {
    my $own = paused('On', start => 0, set => ['page DIR/page.html']);
    my $file = $own->dir . '/page.html';
    my @bad = (
        ['no file' => sub { }, qr/No such file/],
        ['one that nobody may read' => sub {
            chmod 0, spew($file, 'x');
        }, qr/Permission denied/],
        ['a folder' => sub { mkdir $file }, qr/no file of at most 256 KiB/],
        ['too large' => sub { spew($file, 'x' x ($MOST + 1)) },
            qr/no file of at most 256 KiB/],
        ['an empty one' => sub { spew($file, '') }, qr/it is empty/],
        ['UTF-16' => sub { spew($file, $UTF16) }, qr/NUL.*as UTF-8/],
        ['a NUL' => sub { spew($file, "<p>a\0b</p>") }, qr/NUL.*as UTF-8/],
        ['a device' => sub { symlink '/dev/zero', $file },
            qr/no file of at most 256 KiB/],
    );
    for my $case (@bad) {
        my ($name, $make, $why) = @$case;
        $make->();
        my ($status, $output) = $own->configtest;
        isnt $status, 0, "$name: an error";
        like $output, qr/WEAVE0155: \S*httpd\.conf:\d+: .*$why/, 'says why';
        unlink $file;
        rmdir $file;
    }
    spew($file, 'x' x $MOST);
    is(($own->configtest)[0], 0, 'a good one');
};

# The application had to answer 503 until the page was back.
subtest 'a page that went bad, and graceful' => sub {
    my $own = paused('', files => {'page.html' => 'mine'},
        set => ['page DIR/page.html'], expect => qr/WEAVE0154/);
    unlink $own->dir . '/page.html';
    $own->graceful;
    ok eventually(sub { $own->log_text =~ /WEAVE0154: .*No such file/ }),
        'it is said';
    ok eventually(sub { $own->log_text =~ /resuming normal.*resuming normal/s }),
        'httpd goes on';
    is_served($own->get('/1.1/x'), 'and so does the application');
};

finish;
