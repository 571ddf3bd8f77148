# SPDX-License-Identifier: Apache-2.0
#
# maintenance.style = plain: an application that has nothing to do with Sync. A
# 503 that any client understands, and not a header more.

use strict;
use warnings FATAL => 'all';
use Test::More;
use Time::HiRes qw(sleep time);
use WeaveTest;
use WeaveTest::Maintenance;

my $HTML = 'text/html; charset=utf-8';

sub plain {
    my ($mode, %arg) = @_;
    return paused($mode, %arg, set => ['style plain', 'retry_after 77',
        @{ $arg{set} || [] }]);
}

for my $mode (modes()) {
    subtest "on, $mode" => sub {
        my $httpd = plain('On', mode => $mode);
        my $note  = new_note();
        for my $path (map { $_->[0] } @PLACES) {
            is_plain_refusal($httpd->request($_, $path, note => $note),
                "$_ $path", body => $PLAIN, retry => 77, head => $_ eq 'HEAD')
                for qw(GET HEAD DELETE OPTIONS);
            is_plain_refusal($httpd->request('POST', $path, note => $note,
                body => 'x' x 100_000), "POST $path", body => $PLAIN,
                retry => 77);
        }
        is_deeply [notes($note)], [], 'the application is never asked';
        is $httpd->get('/__lbheartbeat__')->status, 200, 'httpd is alive';
        is_plain_refusal($httpd->get('/__heartbeat__'), 'the application not',
            body => $PLAIN, retry => 77);
    };

    subtest "backoff, $mode" => sub {
        my $httpd = plain('Backoff', mode => $mode);
        is_served($httpd->get('/1.1/u/info/collections'), 'nobody is told');
        my $res = $httpd->get('/x?backoff=5');
        is $res->header('X-Weave-Backoff'), 5, 'but by the application';
    };

    subtest "drain, $mode" => sub {
        my @paths = ('/1.1/u/info/collections', '/1.1/u/storage/tabs', '/');
        my ($httpd, $begin, $drain);
        my @res = in_time(3, sub {
            ($drain, $begin) = ($_[0], time);
            $httpd = plain('Drain', mode => $mode, set => ["drain $drain"]);
            return map { $httpd->get($_) } @paths;
        });
        is_served($res[$_], "$paths[$_] passes") for 0 .. $#paths;
        ok eventually(sub { $httpd->get('/')->status == 503 }, $drain + 60),
            'until its end';
        cmp_ok time - $begin, '>', $drain - 0.1, 'when its time is over';
        is_plain_refusal($httpd->get('/1.1/x'), 'then nobody does',
            body => $PLAIN, retry => 77);
    };
}

subtest 'a message' => sub {
    my $said  = "Gleich wieder <b>da</b> \xe2\x82\xac";
    my $httpd = plain('On', set => [qq(message "$said")],
        files => {'page.html' => 'page: {message}'}, conf => <<'END');
<Location /paged>
    WeaveSet maintenance.page "DIR/page.html"
</Location>
END
    my @html = (headers => [Accept => 'text/html,*/*;q=0.5']);
    my $escaped = "Gleich wieder &lt;b&gt;da&lt;/b&gt; \xe2\x82\xac";
    is_plain_refusal($httpd->get('/1.1/x'), 'to programs', retry => 77,
        body => "$said\n");
    is_plain_refusal($httpd->request('HEAD', '/1.1/x'), 'HEAD', retry => 77,
        body => "$said\n", head => 1);
    my $res = $httpd->get('/1.1/x', @html);
    is_plain_refusal($res, 'to browsers, everywhere', type => $HTML,
        retry => 77);
    like $res->body, qr/<p>\Q$escaped\E<\/p>/, 'in the built-in page';
    is_plain_refusal($httpd->get('/paged', @html), 'and in one\'s own',
        type => $HTML, body => "page: $escaped", retry => 77);
};

subtest 'spread' => sub {
    my $httpd = plain('On', set => ['spread 50']);
    my %said;
    for (1 .. 50) {
        my $res = $httpd->get('/');
        is_plain_refusal($res, 'within it', retry => [77, 77 * 1.5]);
        $said{ $res->header('Retry-After') }++;
    }
    cmp_ok scalar keys %said, '>', 10, 'not all the same';
};

finish;
