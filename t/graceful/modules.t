# SPDX-License-Identifier: Apache-2.0
#
# Modules that come with a graceful restart, mod_weave among them: httpd
# lives. Each subtest names what went wrong before.

use strict;
use warnings FATAL => 'all';
use Test::More;
use WeaveTest;
use WeaveTest::Graceful;
use WeaveTest::Httpd ();
use WeaveTest::Modules ();


my $httpd = WeaveTest::Httpd->new(
    script => 'hello',
    conf   => 'WeaveApp /app "DIR/sync.ini"',
    expect => qr/./, # children say what they see again and again
);

my $conf = slurp($httpd->dir . '/httpd.conf');
my $with = slurp(root() . '/conf/modules.conf');
(my $without = $with) =~ s/^LoadModule weave_module .*\n//m;
$conf =~ s{^Include "\S*/modules\.conf"}
    {Include "${\ $httpd->dir}/modules.conf"}m;
$conf =~ s{^Include "(\S*/common\.inc)"}
    {slurp($1) =~ s/ weave:debug//r}me;
my ($app) = $conf =~ /^(WeaveApp .*)$/m;
$httpd->write('httpd.conf',
    $conf =~ s{^WeaveApp .*}{<IfModule weave_module>\n$app\n</IfModule>}mr);
$httpd->write('modules.conf', $without);

# A child of before might still answer as before.
sub renews {
    my %old = map { $_ => 1 } $httpd->serving;
    restarts($httpd);
    ok eventually(sub { !grep { $old{$_} } $httpd->serving }),
        'by new children only';
}

# httpd took it for its own start, refused, and ended.
subtest 'mod_weave comes with a bad ini' => sub {
    my $ini = slurp($httpd->dir . '/sync.ini');
    $httpd->start;
    is $httpd->get('/app')->status, 404, 'without it';

    $httpd->write('modules.conf', $with);
    $httpd->write('sync.ini', "[wsgi]\nskript = x\n");
    renews();
    is_503($httpd, '/app');
    like $httpd->log_text, qr/:error\] .*skript/, 'the log says why';
    $httpd->write('sync.ini', $ini);
    renews();
    is_hello($httpd, '/app', 'mended it serves');
};

# Children crashed one after the other.
subtest 'another Python comes' => sub {
    my $dir = WeaveTest::Modules::ask_apxs(conf_var('apxs'), 'LIBEXECDIR');
    plan skip_all => 'no mod_wsgi here' unless -e "$dir/mod_wsgi.so";
    $httpd->write('modules.conf',
        "LoadModule wsgi_module $dir/mod_wsgi.so\n$with");
    renews();
    is_503($httpd, '/app');
    like $httpd->log_text, qr/WEAVE0012: .*libpython/, 'the log says why';
    $httpd->write('modules.conf', $with);
    renews();
    is_hello($httpd, '/app', 'without it all is well');
};

# A mount was not found beside modules that find a file for every path, where
# these were loaded first, as the alphabet has it.
subtest 'beside mod_userdir and mod_vhost_alias' => sub {
    my $dir  = WeaveTest::Modules::ask_apxs(conf_var('apxs'), 'LIBEXECDIR');
    my @both = qw(userdir vhost_alias);
    plan skip_all => "no mod_$_ here" for grep { !-e "$dir/mod_$_.so" } @both;
    my $lines = join '', map { "LoadModule ${_}_module $dir/mod_$_.so\n" } @both;
    my $files = $httpd->dir . '/files';
    mkdir $_ for $files, map { "$files/$_" } qw(localhost app other);
    spew("$files/localhost/plain.txt", $WeaveTest::Graceful::plain);
    spew("$files/other/user.txt", 'of a user');
    $httpd->write('httpd.conf', slurp($httpd->dir . '/httpd.conf') . <<"END");
<IfModule vhost_alias_module>
UseCanonicalName Off
UserDir $files
VirtualDocumentRoot $files/%0
WeaveApp /~app "${\ $httpd->dir}/sync.ini"
</IfModule>
END
    for my $order (['before', "$lines$with"], ['after', "$with$lines"]) {
        note "loaded $order->[0] mod_weave";
        $httpd->write('modules.conf', $order->[1]);
        renews();
        is $httpd->get('/~other/user.txt')->body, 'of a user',
            'and those of users';
        is_hello($httpd, $_, "and a mount at $_") for qw(/app /~app);
    }
};

ok defined $httpd->stop, 'httpd stops';
$httpd->no_crash;
finish;
