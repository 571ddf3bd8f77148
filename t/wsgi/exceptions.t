# SPDX-License-Identifier: Apache-2.0
#
# An exception of the application: 500 for the client without a word of it,
# the traceback in the log, once and whole, and the server goes on.

use strict;
use warnings FATAL => 'all';
use Test::More;
use WeaveTest;

sub raises {
    my ($case, $want) = @_;
    my $res;
    my $log = logged($want, sub { $res = get("/exceptions/$case") });
    is $res->status, 500, "$case: 500";
    unlike $res->body, qr/never seen|Traceback|Error/, "$case: no details";
    ok $log =~ $want, "$case: logged" or diag substr $log, 0, 2000;
    return $log;
}

my $log = raises('value_error', qr/ValueError: invalid literal/);
is scalar(() = $log =~ /Traceback \(most recent call last\)/g), 1,
    'one traceback';
like $log, qr/exceptions\.wsgi", line \d+, in application/, 'with the place';
unlike $log, qr/^\S*:(?!error )\w+ .*(?:Traceback|ValueError)/m,
    'at error level';

raises('after/value_error', qr/ValueError: invalid literal/);

$log = raises('chained', qr/ValueError: the outer one/);
like $log, qr/KeyError: 'missing'/, 'with what caused it';
like $log, qr/direct cause/, 'and how';

raises('recursion',          qr/RecursionError/);
raises('system_exit',        qr/SystemExit/);
raises('keyboard_interrupt', qr/KeyboardInterrupt/);
raises('base_exception',     qr/Own/);
raises('generator_exit',     qr/GeneratorExit/);
raises('unprintable',        qr/Unprintable/);

$log = raises('unicode', qr/ValueError: caf/);
like $log, qr/caf(?:\xc3\xa9|\\xc3\\xa9) /, 'UTF-8, perhaps as httpd escapes';

$log = raises('long', qr/xEND/);
cmp_ok $log =~ tr/x//, '>=', 30000, 'a long message is not cut';

raises('lines', qr/forged/);
is scalar(grep { /^weave:emerg/ } split /\n/, $log), 0,
    'a message cannot forge a line';

is get('/hello')->body, 'Hello, world!', 'all children are alive'
    for 1 .. 10;
finish;
