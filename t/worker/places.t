# SPDX-License-Identifier: Apache-2.0
#
# Of each release of its lifetime httpd keeps the place in the roster, until it
# needs that for another. When all were taken, one graceful gave the place of a
# release that an application went back to away to another application as well:
# weaved refused both.

use strict;
use warnings FATAL => 'all';
use Test::More;
use WeaveTest;
use WeaveTest::Releases;
use WeaveTest::Workers;

use constant {PLACES => 64, APPS => 16};

my @apps  = map { "a$_" } 1 .. APPS;
my $httpd = released('processes',
    join('', map { qq(WeaveApp /$_ "DIR/$_/sync.ini"\n) } @apps),
    more => "[workers]\nprocesses = 1\nthreads = 1\n");

# Application APP gets release NAME with the next restart.
sub comes {
    my ($app, $name) = @_;
    release($httpd, $name) if !-d $httpd->dir . "/$name";
    moves($httpd, $app => $name);
}

for my $round (1 .. PLACES / APPS) {
    comes($_, "$_-r$round") for @apps;
    $httpd->running ? $httpd->renew : $httpd->start;
    serves_release($httpd, "/$_", "$_-r$round", "$_: release $round")
        for @apps[0, 1, -1];
}

# what is first in httpd.conf had the first places
comes('a1', 'a1-r1');
comes('a2', 'a2-new');
ok $httpd->renew, 'a graceful';
serves_release($httpd, '/a1', 'a1-r1', 'one application is back');
serves_release($httpd, '/a2', 'a2-new', 'and another one goes on');

# here the new one is asked for first
comes('a1', 'a1-new');
comes('a2', 'a2-r2');
ok $httpd->renew, 'a graceful';
serves_release($httpd, '/a1', 'a1-new', 'one application goes on');
serves_release($httpd, '/a2', 'a2-r2', 'and another one is back');

ok defined $httpd->stop, 'httpd stops';
finish;
