# SPDX-License-Identifier: Apache-2.0
#
# Parts of httpd around an application: virtual hosts, filters, pages that
# include answers. Each subtest names what went wrong before.

use strict;
use warnings FATAL => 'all';
use Test::More;
use WeaveTest;
use WeaveTest::Httpd ();
use WeaveTest::Modules ();

my $substitute = WeaveTest::Modules::ask_apxs(conf_var('apxs'), 'LIBEXECDIR')
    . '/mod_substitute.so';

my $httpd = WeaveTest::Httpd->new(
    script => 'parts',
    conf   => (-e $substitute
        ? "LoadModule substitute_module $substitute\n" : '') . <<'END',
<VirtualHost *:*>
    ServerName a.example
    WeaveApp /    "DIR/sync.ini"
    WeaveApp /sub "DIR/sync.ini"
    <Location /parts/outer>
        Options +Includes
        SetOutputFilter INCLUDES
    </Location>
    <IfModule substitute_module>
        <Location /parts/long_line>
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
        my $res = $httpd->get('/parts/environ_of', host => "$_[0].example");
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
    my $body = $httpd->get('/parts/outer?out=1', host => 'a.example')->body;
    @lines = grep { $_->{text} =~ /the part$/ }
        $httpd->log->take_lines(qr/printed after the part/);
    my ($part) = $body =~ /^\[(\{.*\})\]set by the page$/s;
    ok $part, 'is included' or diag $body;
    my %own = (
        SCRIPT_NAME    => '/sub',
        PATH_INFO      => '/parts/inner/x y',
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
        $res = $httpd->get('/parts/long_line', host => 'a.example',
            note => $note);
    });
    is_deeply [notes($note, 1)], ['called'], 'the application answers';
    is $res->status, 500, 'the client gets a 500';
    unlike $res->body, qr/a line that is longer/, 'and nothing of it';
    is $httpd->get('/parts/environ_of')->status, 200, 'the server goes on';
};

# What mod_proxy would do with it is not for applications.
subtest 'CONNECT' => sub {
    my $note = new_note();
    my $res = $httpd->request('CONNECT', 'a.example:443', note => $note);
    like $res->status, qr/^40[05]$/, 'is refused';
    $res = $httpd->request('CONNECT', '/parts/long_line', note => $note);
    like $res->status, qr/^40[05]$/, 'with a path too';
    is_deeply [notes($note)], [], 'without the application';
};

ok defined $httpd->stop, 'it stops';
$httpd->no_crash;
finish;
