# SPDX-License-Identifier: Apache-2.0
#
# Several applications in one httpd.

use strict;
use warnings FATAL => 'all';
use Test::More;
use WeaveTest;
use WeaveTest::Graceful qw(restarts);
use WeaveTest::Workers;

my $httpd = new_httpd(
    workers => "processes = 1\n",
    expect  => qr/WEAVE0046/, # the embedded one may not catch signals
    conf    => "WeaveApp /one \"DIR/sync.ini\"\nWeaveApp /two \"DIR/two.ini\"\n"
        . 'WeaveApp /again "DIR/sync.ini"');
my $dir = $httpd->dir;
$httpd->write('two.ini', slurp("$dir/sync.ini"));
$httpd->start;
ok eventually(sub { workers($httpd, qr/$_/) == 1 }), "$_ is ready"
    for qw(sync.ini two.ini);

sub pid_of { return $httpd->get("/$_[0]/who")->body =~ /^(\d+) / ? $1 : 0 }

my ($one, $two) = (pid_of('one'), pid_of('two'));
isnt $one, $two, 'each has a worker of its own';
is pid_of('again'), $one, 'two mounts of one ini share them';
is $httpd->get('/two/ini')->body, "$dir/two.ini", 'each knows its file';

subtest 'reloading one' => sub {
    my ($exit) = weavectl($httpd, '-i', "$dir/two.ini", 'reload');
    is $exit, 0, 'works';
    isnt pid_of('two'), $two, 'that one is new';
    is pid_of('one'), $one, 'the other is not';
};

subtest 'one that goes' => sub {
    my $pid = pid_of('two');
    $httpd->configure('WeaveApp /one "DIR/sync.ini"');
    restarts($httpd);
    ok gone($pid), 'its worker leaves';
    is pid_of('one'), $one, 'the other stays';
    # a child of before may still be there, for a moment
    ok eventually(sub { $httpd->get('/two/who')->status == 404 }),
        'nobody answers for it';
};

# What weaved and a worker are told is read once more, and means the same there.
subtest 'values that look like variables' => sub {
    $httpd->write('values.wsgi', <<'END');
import os


def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return ["|".join([os.environ["OWN"], environ["A"]]).encode()]
END
    $httpd->write('values.ini', slurp("$dir/sync.ini")
        =~ s/^script = .*/script = $dir\/values.wsgi\nenviron.A = "\${HOME} \$\$ 'x' # y"/mr
        =~ s/^\[workers\]\n/[workers]\nenv.OWN = "\${HOME} \$\$ %(here)s \"x\" ; y"\n/mr);
    $httpd->configure("WeaveApp /one \"DIR/sync.ini\"\nWeaveApp /values \"DIR/values.ini\"");
    restarts($httpd);
    my $answer;
    ok eventually(sub { ($answer = $httpd->get('/values'))->status == 200 }), 'it serves';
    is $answer->body, q(${HOME} $$ %(here)s "x" ; y|${HOME} $$ 'x' # y), 'stay as they are';
};

subtest 'one that comes, in httpd' => sub {
    $httpd->write('three.ini',
        slurp("$dir/sync.ini") =~ s/^\[workers\]\n/[workers]\nmode = embedded\n/mr);
    $httpd->configure(
        "WeaveApp /one \"DIR/sync.ini\"\nWeaveApp /three \"DIR/three.ini\"",
        mode => '');
    restarts($httpd);
    ok eventually(sub {
        my $pid = pid_of('three');
        grep { $_ == $pid } @{ $httpd->children };
    }), 'the embedded one is in a child';
    is pid_of('one'), $one, 'the other stays where it is';
};

ok defined $httpd->stop, 'httpd stops';
finish;
