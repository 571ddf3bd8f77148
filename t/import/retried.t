# SPDX-License-Identifier: Apache-2.0
#
# An import that fails and then works: what the first attempt had loaded of
# the standard library was dropped and loaded again, so that there were two of
# each class, and those of C code were of the first kind.

use strict;
use warnings FATAL => 'all';
use Test::More;
use WeaveTest;
use WeaveTest::Httpd ();

my $imports = <<'END';
import asyncio
import decimal
import numbers
END

my $works = <<'END';

async def cancelled():
    task = asyncio.ensure_future(asyncio.sleep(60))
    await asyncio.sleep(0)
    task.cancel()
    try:
        await task
    except asyncio.CancelledError:
        return "caught"

def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    seen = [str(isinstance(decimal.Decimal(1), numbers.Number))]
    try:
        seen.append(asyncio.run(cancelled()))
    except BaseException as error:
        seen.append(type(error).__name__)
    return [" ".join(seen).encode()]
END

my $httpd = WeaveTest::Httpd->new(
    app    => "${imports}raise ValueError('not yet')\n",
    expect => qr/./,
    conf   => "StartServers 1\nWeaveApp / \"DIR/sync.ini\"\n",
);
$httpd->start;
is $httpd->get('/')->status, 503, 'the first import fails';
like $httpd->log->take(qr/ValueError/), qr/ValueError: not yet/,
    'after it has imported others';
$httpd->write('app.wsgi', $imports . $works);
my $res;
ok eventually(sub { ($res = $httpd->get('/'))->status == 200 }),
    'the second works';
is $res->body, 'True caught',
    'a Decimal is a Number, and CancelledError the one that asyncio raises';
ok defined $httpd->stop, 'it stops';
$httpd->no_crash;
finish;
