# SPDX-License-Identifier: Apache-2.0
#
# Files that httpd's parent, weaved and weavectl read are exchanged, by somebody
# with fewer rights, for something that would have them wait or read for ever.
# Everybody answers, and what runs goes on.

use strict;
use warnings FATAL => 'all';
use POSIX qw(mkfifo);
use Test::More;
use WeaveTest;
use WeaveTest::Workers;

use constant DEADLINE_S => 60;

my %INSTEAD = (
    'a FIFO'         => sub { mkfifo($_[0], 0666) or die "$_[0]: $!" },
    'link to a FIFO' => sub {
        mkfifo("$_[0].fifo", 0666);
        symlink "$_[0].fifo", $_[0] or die "$_[0]: $!";
    },
    '/dev/zero' => sub { symlink '/dev/zero', $_[0] or die "$_[0]: $!" },
);

# The virtualenv of the suites, with a pyvenv.cfg of its own.
sub make_virtualenv {
    my $dir  = shift;
    my $from = conf_var('weave_venv');
    mkdir $dir or die "$dir: $!";
    symlink "$from/$_", "$dir/$_" or die "$dir/$_: $!" for qw(bin lib);
    spew("$dir/pyvenv.cfg", slurp("$from/pyvenv.cfg"));
}

my $httpd = new_httpd(
    workers => "processes = 1\nthreads = 2\n",
    limits  => "startup_timeout = 5\n",
    conf    => join("\n", 'WeaveApp /one "DIR/sync.ini"',
        'WeaveApp /two "DIR/two.ini"'),
    expect => qr/WEAVE00(?:0[145]|1[345]|47|80|83)|WEAVE015[45]|$STACKS/);
my $dir = $httpd->dir;
my $ini = slurp("$dir/sync.ini");
make_virtualenv("$dir/venv");
spew("$dir/base.ini", "[extra]\nkey = value\n");
spew("$dir/page.html", 'the page of this server');
spew("$dir/two.ini", $ini);
spew("$dir/app.wsgi", slurp(root() . '/apps/workers.wsgi'));
$ini =~ s{^virtualenv = .*}{virtualenv = $dir/venv}m;
$ini =~ s{^script = .*}{script = $dir/app.wsgi}m;
spew("$dir/sync.ini", "[DEFAULT]\nextends = base.ini\n$ini"
    . "[maintenance]\npage = $dir/page.html\n");

# (exit status, what it said) of a command that must end.
sub ends {
    my ($name, @command) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    open my $out, '-|', 'sh', '-c', 'exec "$@" 2>&1', 'sh', 'timeout',
        '--signal=KILL', DEADLINE_S, @command
        or die "$command[0]: $!";
    my $text = do { local $/; <$out> };
    close $out;
    isnt $?, 137 << 8, "$name answers";
    return ($? >> 8, defined $text ? $text : '');
}

sub configtest {
    return ends('configtest', conf_var('httpd'), '-d', $dir, '-f',
        "$dir/httpd.conf", '-t');
}

sub ctl {
    return ends("weavectl $_[0]", conf_var('weave_build') . '/weavectl', '-d',
        $httpd->runtime, '-s', $httpd->state, @_);
}

# `graceful`, and new children that serve. They need not know the application
# whose files are exchanged, but all else.
sub graceful_goes_on {
    my $pid = shift;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    ok $httpd->renew, 'graceful: all children are new';
    is $httpd->get('/plain.txt')->status, 200, 'httpd serves its files';
    my $res = $httpd->get('/two/who');
    is $res->status, 200, 'the other application serves';
    is $res->body =~ /(\d+)/ ? $1 : 0, $pid, 'as before';
}

$httpd->start;
ok eventually(sub { $httpd->get("/$_/who")->status == 200 }), "$_ serves"
    for qw(one two);
my ($two) = $httpd->get('/two/who')->body =~ /(\d+)/;

# FILE is exchanged while httpd runs, and put back; WANT is what configtest says,
# RELOAD what weavectl reload does where the file is asked for it.
sub exchanged {
    my ($file, $want, $reload) = @_;
    my $path = "$dir/$file";
    for my $kind (sort keys %INSTEAD) {
        subtest "$kind as $file" => sub {
            rename $path, "$path.kept" or die "$path: $!";
            $INSTEAD{$kind}->($path);
            my ($exit, $text) = configtest();
            isnt $exit, 0, 'which finds it';
            like $text, $want, 'and says what it is';
            ($exit, $text) = ctl('reload', '-i', "$dir/sync.ini");
            like $text, $reload, 'and says why it fails' if $reload;
            ctl('check', "$dir/sync.ini");
            is((ctl('status'))[0], 0, 'and knows all');
            graceful_goes_on($two);
            is((ctl('maintenance', 'off'))[0], 0, 'and does it');
            unlink $path, "$path.fifo";
            rename "$path.kept", $path or die "$path: $!";
            ok $httpd->renew, 'graceful, with the file again';
            ok eventually(sub { $httpd->get('/one/who')->status == 200 }),
                'the application serves';
        };
    }
}

exchanged('venv/pyvenv.cfg', qr/WEAVE0005.*pyvenv\.cfg: not a regular file/,
    qr/pyvenv\.cfg: not a regular file/);
exchanged('sync.ini', qr/WEAVE0015: .*: not a regular file/);
exchanged('base.ini', qr/WEAVE0001.*base\.ini: not a regular file/);
exchanged('page.html', qr/WEAVE0155.*page\.html: this is no file/);
exchanged('app.wsgi', qr/WEAVE0004.*app\.wsgi: it is not a file/);

# weaved's answer was that of a reload which has begun, and weavectl waited.
subtest 'a pyvenv.cfg that is no UTF-8' => sub {
    my $good = slurp("$dir/venv/pyvenv.cfg");
    spew("$dir/venv/pyvenv.cfg", $good =~ s{^home = .*}{home = /opt/\xff}mr);
    my ($exit, $text) = ctl('reload', '-i', "$dir/sync.ini");
    isnt $exit, 0, 'reload fails';
    like $text, qr{is not in /opt/\\xff any more}, 'and says why';
    like +(ctl('status'))[1], qr{is not in /opt/\\xff any more}, 'so does status';
    spew("$dir/venv/pyvenv.cfg", $good);
    is((ctl('reload', '-i', "$dir/sync.ini"))[0], 0, 'mended it works');
};

ok defined $httpd->stop, 'one TERM ends httpd';
finish;
