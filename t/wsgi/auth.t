# SPDX-License-Identifier: Apache-2.0
#
# Authorization goes to the application unless httpd itself authenticates.

use strict;
use warnings FATAL => 'all';
use MIME::Base64 qw(encode_base64);
use Test::More;
use WeaveTest;

my $basic = 'Basic ' . encode_base64('Aladdin:open sesame', '');
my @as_aladdin = (headers => [Authorization => $basic]);

is_deeply json('/auth', app => 'auth', site => 'other', @as_aladdin),
    [$basic, undef, undef], 'the application authenticates: it is passed on';
is_deeply json('/x', app => 'auth', headers => [Authorization => 'Bearer t']),
    ['Bearer t', undef, undef], 'of any scheme';
is_deeply json('/x', app => 'auth'), [undef, undef, undef],
    'none: nothing is made up';
is_deeply json('/environ/no-authorization', app => 'auth', @as_aladdin),
    [undef, undef, undef], 'wsgi.pass_authorization = false';

my $res = get('/auth', app => 'auth');
is $res->status, 401, 'httpd authenticates: without credentials';
like $res->header('WWW-Authenticate'), qr/weave tests/, 'httpd asks';
is get('/auth', app => 'auth',
    headers => [Authorization => 'Basic ' . encode_base64('x:y', '')])
    ->status, 401, 'with wrong ones';
is_deeply json('/auth', app => 'auth', @as_aladdin),
    [undef, 'Aladdin', 'Basic'],
    'with right ones the application learns who, not how';

expect_log(qr/AH01618|AH01617/);
finish;
