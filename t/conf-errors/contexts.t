# SPDX-License-Identifier: Apache-2.0
#
# Directives where they would have no effect, or another one than it seems:
# they were accepted, and nothing came of them.

use strict;
use warnings FATAL => 'all';
use Test::More;
use WeaveTest;
use WeaveTest::Httpd ();

my $httpd = WeaveTest::Httpd->new(script => 'hello', expect => qr/AH00014/);
my $app = 'WeaveApp / "DIR/sync.ini"';
my $set = 'WeaveSet wsgi.environ.NAME value';

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

subtest 'WeaveSet' => sub {
    my %section = (
        Directory => "<Directory \"DIR\">\n$set\n</Directory>",
        Files     => "<Files \"*.x\">\n$set\n</Files>",
        Limit     => "<Location /x>\n<Limit GET>\n$set\n</Limit>\n</Location>",
    );
    refused("<$_>", "$app\n$section{$_}", qr/WeaveSet.*<$_>/s)
        for sort keys %section;
    my ($status, $output) =
        configtest("$app\n<Location /x>\n$set\n</Location>\n$set");
    is $status, 0, 'where it works it is taken' or diag $output;
};

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
