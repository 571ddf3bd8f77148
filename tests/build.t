#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
#
# What `make` makes: hardened, without a trace of where it was made, the same in
# any folder; with the flags it is given; and clear words where something is
# missing. Nothing is built twice that need not be.

use strict;
use warnings FATAL => 'all';
use FindBin ();
use lib "$FindBin::Bin/../t/lib";

use Cwd qw(abs_path);
use File::Temp qw(tempdir);
use Test::More;

use WeaveTest::AsRoot;

chdir top() or die top() . ": $!";
plan skip_all => 'nothing is built: make' if !-e build() . '/mod_weave.so';

# Flags of whoever runs the tests are not those of these builds.
delete @ENV{qw(CC CPPFLAGS CFLAGS LDFLAGS HARDENING SANITIZE BUILD PYTHONS MAKEFLAGS
    MAKELEVEL MFLAGS CI DEB_BUILD_OPTIONS)};

my $root = tempdir('weave-build-XXXXXX', TMPDIR => 1, CLEANUP => 1);
# names with a space, for make and for the shell
my $tree  = "$root/a tree";
my $build = "$root/a build";
mkdir $tree or die "$tree: $!";
system(qw(cp -a Makefile mod_weave.c conf src tests server mozupload), $tree) == 0 or die 'cp failed';

# it compiles a hundred files
$WeaveTest::AsRoot::run_s = 900;

sub make { return run('make', '--no-print-directory', '-C', $tree, @_) }

my @OBJECTS = qw(mod_weave.so weaved weave-worker weavectl);

# ---- as it comes ----

my ($exit, $text) = make('-j2', "BUILD=$build");
is($exit, 0, 'it builds, in a folder with a space and from one') or diag($text);
is_deeply([grep { !/^(?:CC|LD|AR|PY)   \S+(?: \([\d.]+\))?$/ } split /\n/, $text], [],
    'one short line for each file, and no warning');
push @OBJECTS, map { s{.*/}{}r } grep { !-l } glob "'$build'/weave-engine-*.so";

is((make("BUILD=$build"))[1], '', 'there is nothing to do a second time');
is((make("BUILD=$build", 'CI=1'))[1], '', '... nor for -Werror');
is((make('-n', "BUILD=$build", 'install', 'CI=1'))[1] =~ /\bCC\b/ ? 1 : 0, 0,
    '... nor for make install');
like((make('-n', "BUILD=$build", 'CFLAGS=-O1 -g'))[1], qr/^printf.*-O1/m,
    'other flags are seen');

sub readelf { return (run('readelf', '-W', @_))[1] }

for my $name (@OBJECTS) {
    my $file = "$build/$name";
    my $dynamic = readelf('-d', $file);
    my $headers = readelf('-lh', $file);
    my $symbols = readelf('--dyn-syms', $file);
    like($headers, qr/Type:\s+DYN/, "$name: position-independent");
    like($dynamic, qr/FLAGS_1.*PIE/, '... as a program') if $name !~ /\.so$/;
    like($headers, qr/GNU_RELRO/, '... RELRO');
    like($dynamic, qr/BIND_NOW|FLAGS_1.*\bNOW\b/, '... bound at the start');
    like($headers, qr/GNU_STACK.*\bRW\b\s/, '... no executable stack');
    like($symbols, qr/__stack_chk_fail/, '... a protected stack');
    like($symbols, qr/__\w+_chk\b(?!_fail)/, '... FORTIFY');
    unlike($dynamic, qr/R(?:UN)?PATH/, '... no path to libraries')
        if $dynamic !~ /python/;
    open my $in, '<:raw', $file or die "$file: $!";
    my $bytes = do { local $/; <$in> };
    my @paths = $bytes =~ m{([\x20-\x7e]*(?:\Q$root\E|\Q${\ top()}\E)[\x20-\x7e]*)}g;
    is_deeply(\@paths, [], '... and nothing says where it was built');
}

is((run('grep', '-rlF', '-e', $root, '-e', top(), "$build/weave-release"))[1], '',
    'weave-release says nowhere where it was built');
ok(-s "$build/weave-release/mozupload/manifest.py", '... and has what it needs of mozupload');

# What has no trace in the result is seen in the commands.
my @compiled = grep { / -c -o / } split /\n/, (make('-B', '-n', 'V=1', "BUILD=$build"))[1];
cmp_ok(scalar @compiled, '>', 50, 'V=1 shows the commands');
for my $flag ('-fstack-protector-strong', '-fstack-clash-protection', '-D_FORTIFY_SOURCE=[23]',
    '-Werror=format-security', '-O2',
    qx(uname -m) =~ /x86/ ? '-fcf-protection' : ())
{
    is(scalar(grep { !/ $flag / } @compiled), 0, "each file has $flag");
}

# ---- the same elsewhere ----

# what was built for these tests, where that was done as it comes
my $mine = slurp(build() . '/flags') =~ s/ '?-ffile-prefix-map=\S+//gr;
my $here = slurp("$build/flags") =~ s/ '?-ffile-prefix-map=(?:'[^']*'|\S)+//gr;
SKIP: {
    skip 'the build that is tested has flags of its own', 1 if $mine ne $here;
    is_deeply([grep { slurp("$build/$_") ne slurp(build() . "/$_") } @OBJECTS], [],
        'two builds in two folders are the same');
}

# ---- flags of one's own ----

# The command that compiles one of the files.
sub compiled {
    my ($exit, $text) = make('V=1', "BUILD=$root/flags", '-n', @_);
    return (grep { /-c -o \S*weave_utf8\.o/ } split /\n/, $text)[0] // $text;
}
my $line = compiled('CPPFLAGS=-DONE=1', 'CFLAGS=-O3 -DTWO="2 3"', 'CC=c99');
like($line, qr/^c99 .*-DONE=1 -O3 -DTWO="2 3"/, 'CC, CPPFLAGS and CFLAGS are taken');
{
    local @ENV{qw(CC CPPFLAGS CFLAGS LDFLAGS)} = ('c89', '-DONE', '-O1', '-Wl,-O1');
    like(compiled(), qr/^c89 .*-DONE -O1 /, '... from the environment');
    like((make('V=1', '-n', "BUILD=$root/flags"))[1],
        qr/^c89 -fPIE -pie .*-Wl,-z,now.* -Wl,-O1 .*weaved/m, '... LDFLAGS, too');
}
unlike(compiled('CFLAGS=-O0 -g'), qr/FORTIFY/, 'no FORTIFY without optimisation');
unlike(compiled('CFLAGS=-O2', 'SANITIZE=-fsanitize=address'), qr/FORTIFY/,
    '... nor under a sanitizer');
is(scalar(() = compiled('CPPFLAGS=-D_FORTIFY_SOURCE=2') =~ /-D_FORTIFY_SOURCE/g), 1,
    '... nor a second one');
unlike(compiled('HARDENING='), qr/stack-protector|FORTIFY/, 'HARDENING= is without');

# ---- what is missing ----

# A PATH with everything but some programs.
sub without {
    my @names = @_;
    my $bin = tempdir('bin-XXXXXX', DIR => $root);
    for my $dir (reverse split /:/, $ENV{PATH}) {
        for my $file (glob "$dir/*") {
            my $name = $file =~ s{.*/}{}r;
            next if grep { $name =~ /^$_$/ } @names;
            unlink "$bin/$name";
            symlink $file, "$bin/$name";
        }
    }
    return $bin;
}

{
    my $bin = without('apxs2?', 'apr-1-config', 'apu-1-config', 'apt-get', 'dnf');
    local $ENV{PATH} = $bin;
    spew("$bin/dnf", "#!/bin/sh\n", 0755);
    like((make("BUILD=$root/missing"))[1],
        qr/^    (?:sudo )?dnf install apr-devel apr-util-devel httpd-devel$/m,
        'where there is dnf, make names its packages');
    rename "$bin/dnf", "$bin/apt-get" or die $!;
    ($exit, $text) = make('-j2', "BUILD=$root/missing");
    isnt($exit, 0, 'without apxs, make fails');
    like($text, qr/^Missing: .*\bapxs\b.*\bapr-1-config\b/m, '... and says so, all at once');
    like($text, qr/^    .*apt-get install apache2-dev libapr1-dev libaprutil1-dev$/m,
        '... with the one command');
    unlike($text, qr/^CC |error:/m, '... before it compiles anything');
}
{
    local $ENV{PATH} = without('.*gcc.*', 'cc', 'c[89]9.*', 'clang.*', 'apt-get', 'dnf');
    ($exit, $text) = make("BUILD=$root/missing");
    isnt($exit, 0, 'without a compiler, make fails');
    like($text, qr/^Missing: a C compiler/m, '... and says so');
    like($text, qr/on Debian and Ubuntu:\n\s+.*gcc.*\non Fedora and RHEL:\n\s+.*gcc/,
        '... with what holds one, where there is neither apt-get nor dnf');
}
($exit, $text) = make("BUILD=$root/missing", 'PYTHONS=/nowhere/python3');
isnt($exit, 0, 'with a Python that is not there, make fails');
like($text, qr{/nowhere/python3: there is no such program}, '... and says why');

# ---- a Python that was moved ----

# Its sysconfig tells of /install, where nothing is.
my $moved = "$root/moved";
mkdir $_ or die "$_: $!" for $moved, "$moved/bin", "$moved/lib", "$moved/include";
my ($ask) = run('/usr/bin/python3', '-c', 'import sysconfig');
SKIP: {
    skip 'no Python', 3 if $ask;
    my $version = (run('/usr/bin/python3', '-c',
        'import sys; print("%d.%d" % sys.version_info[:2], end="")'))[1];
    mkdir "$moved/include/python$version";
    spew("$moved/include/python$version/Python.h", '');
    spew("$moved/lib/libpython$version.so", '');
    my $python = spew("$moved/bin/python3", <<"END", 0755);
#!/usr/bin/python3
import sys, sysconfig
var = sysconfig.get_config_var
old = {"LIBDIR": "/install/lib", "INCLUDEPY": "/install/include/python$version",
       "prefix": "/install", "LDLIBRARY": "libpython$version.so"}
sysconfig.get_config_var = lambda name: old.get(name) or var(name)
sysconfig.get_path = lambda name: "/install/include"
sys.base_prefix = "$moved"
exec(compile(sys.stdin.read(), "-", "exec"), {"__name__": "__main__"})
END
    ($exit, $text) = run('conf/python', $python);
    is($exit, 0, 'a Python that was moved is found') or diag($text);
    like($text, qr{^\Q$version\E -I\Q$moved\E/include/python\Q$version\E }, '... its headers');
    like($text, qr{-L\Q$moved\E/lib .*-Wl,-rpath,\Q$moved\E/lib }, '... and its library');
}

done_testing();
