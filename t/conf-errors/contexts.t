# SPDX-License-Identifier: Apache-2.0
#
# Directives where they would have no effect, or another one than it seems:
# they were accepted, and nothing came of them.

use strict;
use warnings FATAL => 'all';
use Test::More;
use WeaveTest;
use WeaveTest::Httpd ();
use WeaveTest::Modules ();

my $httpd = WeaveTest::Httpd->new(script => 'hello', expect => qr/AH00014/);
my $app = 'WeaveApp / "DIR/sync.ini"';
my $set = 'WeaveSet wsgi.environ.NAME value';
my $so  = WeaveTest::Modules::ask_apxs(conf_var('apxs') || 'apxs', 'LIBEXECDIR')
    . '/mod_proxy.so';

sub configtest {
    $httpd->configure($_[0]);
    return $httpd->configtest;
}

sub refused {
    my ($name, $conf, $want) = @_;
    my ($status, $output) = configtest($conf);
    isnt $status, 0, "$name: refused";
    like $output, $want, "$name: and why";
}

for my $line ($set, 'WeaveMaintenance On') {
    my ($name) = $line =~ /^(\w+)/;
    subtest $name => sub {
        my %section = (
            Directory => qq(<Directory "DIR">\n$line\n</Directory>),
            Files     => qq(<Files "*.x">\n$line\n</Files>),
            Limit     => "<Location /x>\n<Limit GET>\n$line\n</Limit>\n"
                . '</Location>',
            Proxy     => qq(LoadModule proxy_module "$so"\n)
                . qq(<Proxy "http://127.0.0.1/">\n$line\n</Proxy>),
        );
        delete $section{Proxy} unless -e $so;
        refused("<$_>", "$app\n$section{$_}", qr/$name.*<$_>/s)
            for sort keys %section;
        my ($status, $output) =
            configtest("$app\n<Location /x>\n$line\n</Location>\n$line");
        is $status, 0, 'where it works it is taken' or diag $output;
    };
}

# No URL has such a path once httpd has decoded it: the mount was never found.
subtest 'WeaveApp' => sub {
    for my $prefix ('/a//b', '/a%20b', '/a/../b', '/a/./b', '//a', '/..') {
        refused($prefix, qq(WeaveApp $prefix "DIR/sync.ini"),
            qr/WeaveApp: .*\Q$prefix\E/);
    }
    for my $prefix ('/a b', '/a.b/..c', '/a/') {
        my ($status, $output) =
            configtest(qq(WeaveApp "$prefix" "DIR/sync.ini"));
        is $status, 0, "'$prefix' is a path" or diag $output;
    }
};

finish;
