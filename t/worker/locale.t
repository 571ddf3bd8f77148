# SPDX-License-Identifier: Apache-2.0
#
# What workers.env says about the locale of workers. An embedded application
# has httpd's.

use strict;
use warnings FATAL => 'all';
use Test::More;
use WeaveTest;
use WeaveTest::Httpd ();

my %env = (
    missing => "env.LANG = xx_XX.UTF-8\n",
    posix   => "env.LC_ALL = POSIX\n",
    c       => "env.LANG = C\n",
    ctype   => "env.LANG = xx_XX.UTF-8\nenv.LC_CTYPE = C.UTF-8\n",
    turkish => "env.LANG = tr_TR.UTF-8\nenv.LOCPATH = DIR\n",
);
my $httpd = WeaveTest::Httpd->new(
    script => 'locale',
    mode   => '',
    more   => "[workers]\nmode = embedded\nenv.LANG = de_DE.UTF-8\n"
        . "env.LC_ALL = tr_TR.UTF-8\n",
    expect => qr/WEAVE0040|cannot set the header|Traceback|^ {2}/,
    conf   => join '', map { "WeaveApp /$_ \"DIR/$_.ini\"\n" }
        (sort keys %env), "embedded");
my $dir = $httpd->dir;
$httpd->write('embedded.ini', slurp("$dir/sync.ini"));
for my $name (keys %env) {
    my $text = $env{$name} =~ s/DIR/$dir/r;
    $httpd->write("$name.ini", $httpd->default_ini(
        "[workers]\nmode = processes\nprocesses = 1\n$text"));
}
my $turkish = system("localedef -i tr_TR -f UTF-8 $dir/tr_TR.UTF-8"
        . ' >/dev/null 2>&1') == 0;

my ($status, $said) = $httpd->configtest;
is $status, 0, 'configtest';
like $said, qr/WEAVE0231: .*embedded\.ini:\d+: in embedded mode env\.$_ /,
    "says that env.$_ does nothing" for qw(LANG LC_ALL);
unlike $said, qr/WEAVE0231.*(?:missing|ctype)\.ini/, 'of workers nothing';

sub decoded { return JSON::PP->new->decode($httpd->get("/$_[0]")->body) }

my $log = $httpd->logged(qr/WEAVE0230/, sub {
    $httpd->start;
    is decoded('missing')->{ctype}, 'C.UTF-8', 'a locale that is not there';
});
like $log, qr/WEAVE0230: .* no locale xx_XX\.UTF-8, which LANG names/,
    'is a warning';
my $found = decoded('posix');
is $found->{ctype}, 'C', 'LC_ALL goes before the LANG of workers';
is $found->{codeset}, 'ANSI_X3.4-1968', 'and is taken at its word';
is decoded('c')->{ctype}, 'C.UTF-8', 'LANG=C is none, as for Python';
is decoded('ctype')->{ctype}, 'C.UTF-8', 'LC_CTYPE goes before LANG';

# Its "I" is no "i": a header slipped through.
subtest 'a Turkish worker' => sub {
    plan skip_all => 'localedef has no tr_TR here' unless $turkish;
    $found = decoded('turkish');
    is $found->{ctype}, 'tr_TR.UTF-8', 'LC_CTYPE';
    ok $found->{wide}, 'mbstowcs()';
    is_deeply [$found->{printed}, $found->{read}], ['1.5', 1.5],
        'numbers keep their point';
    is $httpd->get('/turkish/hop')->status, 500,
        'TRAILER is a header of the server';
};

$found = decoded('embedded');
is $found->{ctype}, 'C.UTF-8', 'embedded: C.UTF-8, whatever env says';
is $found->{lang}, 'de_DE.UTF-8', 'which programs get';

ok defined $httpd->stop, 'httpd stops';
$httpd->no_crash;
finish;
