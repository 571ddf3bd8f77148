# SPDX-License-Identifier: Apache-2.0
#
# Of each application of its lifetime, a path in WeaveApp, httpd keeps the slot in
# the roster, until it needs that for another. When all were taken, one graceful
# gave the slot of one that came back away to another as well: weaved refused both.
# Here httpd.conf names each release by its own path.

use strict;
use warnings FATAL => 'all';
use Test::More;
use WeaveTest;
use WeaveTest::Releases;
use WeaveTest::Workers;

use constant {SLOTS => 64, APPS => 16};

my @apps  = map { "a$_" } 1 .. APPS;
my %path;
my $httpd = released('processes', '',
    more => "[workers]\nprocesses = 1\nthreads = 1\n", expect => qr/WEAVE0131/);
my $gate = gate($httpd);
my $slow;

# Application APP gets release NAME with the next restart.
sub comes {
    my ($app, $name) = @_;
    release($httpd, $name) if !-d $httpd->dir . "/$name";
    $path{$app} = $name;
    return $httpd->configure(join '', map { qq(WeaveApp /$_ "DIR/$path{$_}/sync.ini"\n) } grep { $path{$_} } @apps);
}

# `graceful`; children of before may still have a request.
sub renews {
    my $count  = sub { return scalar(() = $httpd->log_text =~ /resuming normal/g) };
    my $before = $count->();
    $httpd->graceful;
    return ok eventually(sub { $count->() > $before }), 'a graceful';
}

for my $round (1 .. SLOTS / APPS) {
    comes($_, "$_-r$round") for @apps;
    $httpd->running ? renews() : $httpd->start;
    serves_release($httpd, "/$_", "$_-r$round", "$_: release $round")
        for @apps[0, 1, -1];
    ($slow) = in_flight($httpd, 'GET', "/a3/1.1/x?gate=$gate->{name}") if $round == 1;
}

# what is first in httpd.conf had the first slots
comes('a1', 'a1-r1');
comes('a2', 'a2-new');
renews();
serves_release($httpd, '/a1', 'a1-r1', 'one application is back');
serves_release($httpd, '/a2', 'a2-new', 'and another one goes on');

# here the new one is asked for first
comes('a1', 'a1-new');
comes('a2', 'a2-r2');
renews();
serves_release($httpd, '/a1', 'a1-new', 'one application goes on');
serves_release($httpd, '/a2', 'a2-r2', 'and another one is back');

# the slots of a1-r2 and of what follows it are given away, that of a3-r1 is not
comes("a$_", "a$_-newer") for 1, 2, 4;
renews();
serves_release($httpd, "/a$_", "a$_-newer", "a$_ goes on") for 1, 2, 4;
my $weaved = status($httpd)->{pid};
kill KILL => $weaved;
ok eventually(sub { my $now = status($httpd); $now && $now->{pid} != $weaved }),
    'another weaved';
ok eventually(sub { $httpd->log_text =~ /WEAVE0132/ }), 'knows what httpd wants';
reloads($httpd); # which does not wait for what only drains
opens($gate);
is eval { $slow->response->body }, 'a3-r1', 'a request of the first release is answered';
like $httpd->log_text, qr/WEAVE0087: httpd does not want application 2/,
    'its worker was in a slot that nobody else has';

ok defined $httpd->stop, 'httpd stops';
finish;
