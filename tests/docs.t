#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
#
# The documentation against the code: directives, message numbers, links.

use strict;
use warnings FATAL => 'all';
use Cwd qw(abs_path);
use File::Basename qw(basename dirname);
use File::Find qw(find);
use Test::More;

my $top = abs_path(dirname(__FILE__) . '/..');
chdir $top or die "$top: $!";

sub slurp {
    my $file = shift;
    open my $in, '<:encoding(UTF-8)', $file or die "$file: $!";
    local $/;
    return scalar <$in>;
}

# ---- directives: the table in mod_weave.c and docs/directives ----

my %context_of = (
    'ONLY_GLOBAL'             => 'server config',
    'RSRC_CONF'               => 'server config, virtual host',
    'RSRC_CONF | ACCESS_CONF' => 'server config, virtual host, location',
);

my $module = slurp('mod_weave.c');
my %directive;
while ($module =~
    /AP_INIT_\w+\(\s*"(\w+)",[^,]+,\s*NULL,\s*([A-Z_| ]+?),\s*"([^"]+)"\)/g)
{
    $directive{$1} = {context => $2, help => $3};
}
my %documented = map { basename($_, '.md') => slurp($_) } glob 'docs/directives/*.md';

cmp_ok(scalar keys %directive, '>=', 2, 'mod_weave.c has a table of directives');
is(scalar(() = $module =~ /AP_INIT_/g),
    scalar keys %directive, 'all of it was understood');
is_deeply([sort keys %documented], [sort keys %directive],
    'docs/directives has a file for each directive');
for my $name (sort keys %documented) {
    my ($row, $text) = ($directive{$name} || next, $documented{$name});
    like($text, qr/\A# $name\n\n\Q$row->{help}\E\n\n/,
        "$name.md starts with the name, and the help of the table");
    like($text, qr/^    Syntax:  $name \S/m, '... its syntax');
    my ($context) = $text =~ /^    Context: (.*)$/m;
    is($context, $context_of{$row->{context}}, '... where it may stand');
}

# ---- messages: the numbers in the code and docs/errors.md ----

sub sources {
    my @files = ('mod_weave.c');
    find(sub { push @files, $File::Find::name if /\.(?:c|h|py)\z/ }, 'src');
    return sort @files;
}

my (%said, %explained);
for my $file (sources()) {
    my $code = slurp($file);
    push @{$said{$1}}, $file while $code =~ /["'](WEAVE\d{4}): /g;
}
my $errors = slurp('docs/errors.md');
$explained{$1}++ while $errors =~ /^### (WEAVE\d{4})$/mg;

cmp_ok(scalar keys %said, '>=', 10, 'the code has numbered messages');
is_deeply([sort keys %explained], [sort keys %said],
    'docs/errors.md explains each number, and no other');
is_deeply([grep { $explained{$_} > 1 } sort keys %explained],
    [], '... each once');
is_deeply([grep { @{$said{$_}} > 1 } sort keys %said],
    [], 'no number has two messages');
for my $section (split /^(?=### WEAVE)/m, $errors) {
    my ($number) = $section =~ /^### (WEAVE\d{4})/ or next;
    like($section, qr/^Cure: \S/m, "$number has a cure");
}

# ---- links ----

sub anchors {
    my %anchors;
    for (slurp($_[0]) =~ /^#+ (.*)$/mg) {
        my $anchor = lc;
        $anchor =~ s/[^\w\s-]//g;
        $anchor =~ s/\s/-/g;
        $anchors{$anchor} = 1;
    }
    return \%anchors;
}

sub link_problem {
    my ($from, $link) = @_;
    my ($path, $anchor) = $link =~ /\A([^#]*)#?(.*)\z/;
    my $file = $path eq '' ? $from : dirname($from) . "/$path";
    return "$from: $link leads nowhere" if !-e $file;
    return if $anchor eq '' || anchors($file)->{$anchor};
    return "$from: $link has no such heading";
}

my @pages = ('CHANGELOG', 'NOTICE', 'README', 'SECURITY');
find(sub { push @pages, $File::Find::name if /\.md\z/ }, 'docs');
my @broken;
for my $page (@pages) {
    (my $text = slurp($page)) =~ s/^    .*$//mg;    # examples
    while ($text =~ /\]\(([^)\s]+)\)/g) {
        my $link = $1;
        push @broken, grep { $_ } link_problem($page, $link) if $link !~ /^\w+:/;
    }
}
is_deeply(\@broken, [], 'every link leads somewhere');

# ---- README: plain text, that names files and has no wide lines ----

my $readme = slurp('README');
my @files = $readme =~ m{\b((?:docs|server|conf)/[\w./-]*\w/?)}g;
cmp_ok(scalar @files, '>=', 10, 'README names files');
is_deeply([grep { !-e } @files], [], 'each of them is there');
is_deeply([grep { length > 88 || /^\|/ } split /\n/, $readme],
    [], 'README has no wide line and no table');

# ---- docs/security.md: the tests that it names ----

my @named = slurp('docs/security.md') =~ m{`((?:t|tests|server)/[\w/.-]+)`}g;
cmp_ok(scalar @named, '>=', 20, 'docs/security.md names tests');
is_deeply([grep { !-e } @named], [], 'each of them is there');

done_testing();
