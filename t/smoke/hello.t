# SPDX-License-Identifier: Apache-2.0
#
# The first thing to look at when everything is red.

use strict;
use warnings FATAL => 'all';
use Test::More;
use WeaveTest;

my $res = get('/hello');
is $res->status, 200, 'an application answers';
is $res->reason, 'OK', 'with its reason';
is $res->header('Content-Type'), 'text/plain', 'its header';
is $res->header('Content-Length'), 13, 'a length that the server found';
is $res->body, 'Hello, world!', 'and its body';

is json('/environ')->{'sys.version'}, python_version(),
    'on the Python of the virtualenv';
finish;
