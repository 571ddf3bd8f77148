# SPDX-License-Identifier: Apache-2.0
#
# wsgiref.validate between the server and an application: it raises where
# either breaks PEP 3333.

use strict;
use warnings FATAL => 'all';
use Test::More;
use WeaveTest;

is get('/validate')->body, 'got', 'GET';
is get('/validate?a=b')->body, 'got', 'with a query';
is request('POST', '/validate', body => "0123456789abc\nd\ne")->body,
    "got0123456789abc\nd\ne", 'POST';
is request('POST', '/validate', chunked => ['01234', "56789abc\n", 'de'])
    ->body, "got0123456789abc\nde", 'chunked';
is request('HEAD', '/validate')->status, 200, 'HEAD';
is get('/x', app => 'validate', site => 'mounts')->status, 404,
    'beside a mount';
is get('/sub', app => 'validate', site => 'mounts')->body, 'got',
    'below a mount';
is get('/', app => 'validate')->body, 'got', 'the root';
finish;
