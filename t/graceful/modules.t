# SPDX-License-Identifier: Apache-2.0
#
# Modules that come with a graceful restart, mod_weave among them: httpd
# lives. Each subtest names what went wrong before.

use strict;
use warnings FATAL => 'all';
use Test::More;
use WeaveTest;
use WeaveTest::Httpd ();
use WeaveTest::Modules ();

my $plain = "a plain file of httpd\n";

my $httpd = WeaveTest::Httpd->new(
    script => 'hello',
    conf   => 'WeaveApp /app "DIR/sync.ini"',
    expect => qr/./, # children say what they see again and again
);

sub graceful {
    my $count = sub {
        return scalar(() = $httpd->log_text =~ /resuming normal operations/g);
    };
    my $before = $count->();
    $httpd->graceful;
    ok eventually(sub { $count->() > $before || !$httpd->running })
        && $httpd->running, 'httpd goes on';
    is $httpd->get('/plain.txt')->body, $plain, 'and serves its files';
}

# A child of before may still answer in the first moment.
sub is_503 {
    my $path = shift;
    ok eventually(sub { $httpd->get($path)->status == 503 }), "$path: 503";
    is $httpd->get($path)->status, 503, 'and so it stays';
}

sub is_hello {
    my ($path, $name) = @_;
    ok eventually(sub { $httpd->get($path)->status == 200 }), $name;
    is $httpd->get($path)->body, 'Hello, world!', 'from the application';
}

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

# httpd took it for its own start, refused, and ended.
subtest 'mod_weave comes with a bad ini' => sub {
    my $ini = slurp($httpd->dir . '/sync.ini');
    $httpd->start;
    is $httpd->get('/app')->status, 404, 'without it';

    $httpd->write('modules.conf', $with);
    $httpd->write('sync.ini', "[wsgi]\nskript = x\n");
    graceful();
    is_503('/app');
    like $httpd->log_text, qr/:error\] .*skript/, 'the log says why';
    $httpd->write('sync.ini', $ini);
    graceful();
    is_hello('/app', 'mended it serves');
};

# Children crashed one after the other.
subtest 'another Python comes' => sub {
    my $dir = WeaveTest::Modules::ask_apxs(conf_var('apxs'), 'LIBEXECDIR');
    plan skip_all => 'no mod_wsgi here' unless -e "$dir/mod_wsgi.so";
    $httpd->write('modules.conf',
        "LoadModule wsgi_module $dir/mod_wsgi.so\n$with");
    graceful();
    is_503('/app');
    like $httpd->log_text, qr/WEAVE0012: .*libpython/, 'the log says why';
    $httpd->write('modules.conf', $with);
    graceful();
    is_hello('/app', 'without it all is well');
};

ok defined $httpd->stop, 'httpd stops';
$httpd->no_crash;
finish;
