# SPDX-License-Identifier: Apache-2.0
#
# SCRIPT_NAME, PATH_INFO and REQUEST_URI: PEP 3333, "environ Variables" and
# "URL Reconstruction". PATH_INFO is the raw path without dot segments, decoded
# once; REQUEST_URI is what the client sent.

use strict;
use warnings FATAL => 'all';
use Test::More;
use WeaveTest;

# [SCRIPT_NAME, PATH_INFO], or the status where no application answered.
sub seen {
    my ($site, $target) = @_;
    my $res = get($target, site => $site, app => 'paths');
    return $res->status if $res->status != 200;
    my $seen = eval { JSON::PP->new->decode($res->body) };
    return 'not ours' unless $seen;
    is $seen->[3], $target, "REQUEST_URI of $target is raw"
        unless $target =~ /^http/;
    return [@$seen[0, 1]];
}

sub path_is {
    my ($site, $target, $expected, $name) = @_;
    (my $shown = "$site $target: $name") =~ s/([^ -~])/sprintf '\\x%02x', ord $1/ge;
    is_deeply seen($site, $target), $expected, $shown;
}

path_is app => '/',       ['', '/'],       'the mount itself';
path_is app => '/a/b',    ['', '/a/b'],    'ordinary';
path_is app => '/a/b/',   ['', '/a/b/'],   'a slash at the end is kept';
path_is app => '//a',     ['', '//a'],     'two slashes are kept';
path_is app => '/a//b',   ['', '/a//b'],   'also in the middle';
path_is app => '/a///',   ['', '/a///'],   'and at the end';
path_is app => '/./a',    ['', '/a'],      'dot segments are removed';
path_is app => '/a/./b',  ['', '/a/b'],    'in the middle';
path_is app => '/a/../b', ['', '/b'],      'with what they undo';
path_is app => '/a/b/..', ['', '/a/'],     'at the end';
path_is app => '/a%20b',  ['', '/a b'],    'decoded';
path_is app => '/a%2520', ['', '/a%20'],   'once';
path_is app => '/a+b',    ['', '/a+b'],    'a plus is a plus';
path_is app => '/a;p=1/b', ['', '/a;p=1/b'], 'parameters stay';
path_is app => '/%C3%A9', ['', "/\xc3\xa9"], 'UTF-8 as bytes';
path_is app => "/\xc3\xa9", ['', "/\xc3\xa9"], 'raw bytes';
path_is app => '/%FF%FE', ['', "/\xff\xfe"], 'bytes that are no UTF-8';
path_is app => '/a?b=/../c', ['', '/a'],   'a query is left alone';
is seen('app', $_), 400, "$_: above the root is refused by httpd"
    for '/../a', '/%2e%2e/a', '/a/../../b';
path_is app => '/a/%2e%2e/b', ['', '/b'],  'encoded dots are dots';
path_is app => '/a/%2E/b',    ['', '/a/b'], 'of either kind';
like seen('app', '/a%00b'), qr/^40[04]$/, 'NUL never reaches the application';

is seen('app', '/a%2Fb'), 404, 'AllowEncodedSlashes Off refuses %2F';
path_is slashes_on => '/a%2Fb', ['', '/a/b'], 'AllowEncodedSlashes On decodes';
path_is slashes_on => '/a%2F%2Fb', ['', '/a//b'], 'each of them';
path_is slashes_nodecode => '/a%2Fb', ['', '/a%2Fb'], 'NoDecode keeps it';
path_is slashes_nodecode => '/a%2fb%20c', ['', '/a%2fb c'],
    'and decodes the rest';

path_is mounts => '/sub',            ['/sub', ''],         'without a slash';
path_is mounts => '/sub/',           ['/sub', '/'],        'with one';
path_is mounts => '/sub/x',          ['/sub', '/x'],       'below';
path_is mounts => '/sub//x',         ['/sub', '//x'],      'slashes kept';
path_is mounts => '/sub/nested',     ['/sub/nested', ''],  'the longer mount';
path_is mounts => '/sub/nested/x',   ['/sub/nested', '/x'], 'wins';
path_is mounts => '/sub/nestedx',    ['/sub', '/nestedx'], 'whole segments only';
path_is mounts => '/sub/x/../nested/y', ['/sub/nested', '/y'],
    'dot segments are removed before the mount is chosen';
path_is mounts => '/other/../sub/x', ['/sub', '/x'], 'also from outside';
path_is mounts => '/s%75b/x', ['/sub', '/x'], 'and escapes decoded';
is seen('mounts', '/subx'), 404, 'a name that only begins so is not ours';
is seen('mounts', '/'), 'not ours', 'nor is what is beside the mount';
is get('/plain.txt', site => 'mounts')->body, "a plain file of httpd\n",
    'which httpd serves itself';
is seen('mounts', '/sub/../plain.txt'), 'not ours',
    'a path that leaves the mount has left it';

subtest 'absolute-form' => sub {
    my $port = port();
    my $res  = get("http://localhost:$port/a/b?c=d", app => 'paths');
    my $seen = JSON::PP->new->decode($res->body);
    is_deeply [@$seen[0, 1, 2]], ['', '/a/b', 'c=d'], 'is taken apart';
    is $seen->[3], "http://localhost:$port/a/b?c=d", 'REQUEST_URI is raw';
};

subtest 'what never reaches Python' => sub {
    my $res = request('OPTIONS', '*', app => 'paths');
    is $res->status, 200, 'OPTIONS * is answered';
    unlike $res->body, qr/REQUEST|\["/, 'by httpd';
    $res = request('TRACE', '/', app => 'paths');
    unlike $res->body, qr/^\["/, 'TRACE neither';
    is request('OPTIONS', '/x', app => 'paths')->body,
        '["", "/x", "", "/x", "OPTIONS"]', 'but OPTIONS of a path is';
};

expect_log(qr/AH10244: invalid URI|AH00026/);
finish;
