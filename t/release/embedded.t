# SPDX-License-Identifier: Apache-2.0
#
# Embedded, all children have the release that the link led to when httpd read its
# configuration: also one that starts when the link has been moved.

use strict;
use warnings FATAL => 'all';
use JSON::PP ();
use Test::More;
use WeaveTest;
use WeaveTest::Candidates;
use WeaveTest::Workers qw(weavectl);

# One child serves.
my $httpd = with_home('embedded',
    expect => qr/AH00(?:052|161)/, # killed; no further child
    conf   => <<'END');
StartServers 1
ServerLimit 1
<IfModule mpm_prefork_module>
    MaxRequestWorkers 1
</IfModule>
<IfModule !mpm_prefork_module>
    MinSpareThreads 1
    MaxSpareThreads 64
    ThreadsPerChild 8
    ThreadLimit 8
    MaxRequestWorkers 8
</IfModule>
WeaveApp / "DIR/sync.ini"
END
my $home = $httpd->dir . '/home';
release($httpd, $_) for qw(one two);

sub is_of {
    my ($name, $why) = @_;
    my $where = JSON::PP->new->decode($httpd->get('/where')->body);
    is $where->{$_->[0]}, "$home/releases/$name$_->[1]", "$why: $_->[0]"
        for ['prefix', ''], ['static', '/static'], ['file', '/app.wsgi'];
    is $where->{data}, "/data:$home/releases/$name/data", "$why: a variable";
    ok scalar(grep { $_ eq "$home/releases/$name/more" } @{ $where->{path} }), "$why: python_path";
}

links($httpd, 'one');
$httpd->start;
is_of('one', 'at the start');
my $app = app_status($httpd);
is $app->{release}, 'one', 'status knows the release';
is $app->{virtualenv}, "$home/releases/one", 'and its virtualenv';
like +(weavectl($httpd, 'status'))[1], qr/sync\.ini: embedded, release one$/m, 'for people, too';

links($httpd, 'two');
ok $httpd->renew(sub { kill KILL => $httpd->serving }), 'another child starts';
ok eventually(sub { $httpd->get('/who')->status == 200 }), 'and answers';
is_of('one', 'a child that starts later');
is app_status($httpd)->{release}, 'one', 'status says so';
ok $httpd->renew, 'a graceful';
is_of('two', 'behind a graceful');
is app_status($httpd)->{release}, 'two', 'status says so';
ok defined $httpd->stop, 'httpd stops';
finish;
