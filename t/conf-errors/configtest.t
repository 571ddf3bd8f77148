# SPDX-License-Identifier: Apache-2.0
#
# What configtest refuses: each with one clear message that says where it is
# and what to do, and an exit status other than 0.

use strict;
use warnings FATAL => 'all';
use File::Path qw(make_path);
use Test::More;
use WeaveTest;
use WeaveTest::Httpd ();

my $hello = root() . '/apps/hello.wsgi';
my $venv  = conf_var('weave_venv');
my $good  = "[wsgi]\nscript = $hello\nvirtualenv = $venv\n";

# Configtest of INI and CONF; returns what httpd printed. %h is the folder.
sub configtest {
    my ($ini, $conf, %files) = @_;
    my $httpd = WeaveTest::Httpd->new(
        ini => $ini, conf => $conf, expect => qr/WEAVE\d+|AH00014/);
    $httpd->write($_, $files{$_}) for keys %files;
    my ($status, $output) = $httpd->configtest;
    return ($status, $output . $httpd->log_text, $httpd);
}

sub refused {
    my ($name, $want, @arg) = @_;
    my ($status, $output) = configtest(@arg);
    isnt $status, 0, "$name: refused";
    my @wants = ref $want eq 'ARRAY' ? @$want : $want;
    like $output, $_, "$name: says so" for @wants;
    my @said = $output =~ /(WEAVE\d+: .*|WeaveSet: .*|WeaveApp: .*)/g;
    is scalar @said, 1, "$name: once" or diag $output;
}

my ($status, $output) = configtest($good);
is $status, 0, 'a good one is accepted' or diag $output;
like $output, qr/Syntax OK/, 'as httpd says it';
unlike $output, qr/WEAVE\d+/, 'without a word of ours';

subtest 'keys' => sub {
    refused('an unknown key',
        [qr{sync\.ini:4\b}, qr/wsgi\.skript|skript/, qr/script/],
        "${good}skript = x\n");
    refused('an unknown key like a known one elsewhere',
        [qr/sync\.ini:4\b/, qr/queue_length.*limits/],
        "${good}queue_length = 5\n");
    refused('a number out of bounds',
        [qr/sync\.ini:5\b/, qr/queue_length/, qr/65535/],
        "${good}[limits]\nqueue_length = 100000\n");
    refused('a word instead of a number',
        [qr/sync\.ini:5\b/, qr/queue_length/],
        "${good}[limits]\nqueue_length = many\n");
    refused('a choice that there is not',
        [qr/sync\.ini:5\b/, qr/processes.*embedded/],
        "${good}[workers]\nmode = threads\n");
    refused('script and module both', qr/module.*script|script.*module/,
        "${good}module = a.b\n");
    refused('neither', qr/wsgi\.(?:script|module)/,
        "[wsgi]\nvirtualenv = $venv\n");
};

subtest 'other sections are the application\'s' => sub {
    my ($status, $output) = configtest("${good}[storage]\nwhat = ever\n");
    is $status, 0, 'unknown keys there are fine' or diag $output;
};

subtest 'the file' => sub {
    refused('no such ini', qr{/nowhere/sync\.ini}, $good,
        'WeaveApp / /nowhere/sync.ini');
    refused('a line that is none', qr/sync\.ini:4\b/, "${good}what is this\n");
    refused('a key outside of a section', qr/sync\.ini:1\b/, "a = b\n$good");
    refused('a key twice', [qr/sync\.ini:4\b/, qr/script/],
        "${good}script = $hello\n");
    refused('a section twice', qr/sync\.ini:4\b/, "${good}[wsgi]\n");
    refused('not UTF-8', qr/sync\.ini:4\b.*UTF-8/, "$good# caf\xe9\n");
    refused('an environment variable that is not set', qr/NO_SUCH_NAME/,
        "${good}callable = \${NO_SUCH_NAME}\n");
    refused('extends what is not there', qr/missing\.ini/,
        "[DEFAULT]\nextends = missing.ini\n$good");
};

subtest 'the virtualenv' => sub {
    my $with = sub { return "[wsgi]\nscript = $hello\nvirtualenv = $_[0]\n" };
    refused('missing', [qr{/nowhere/venv}, qr/python3? -m venv/],
        $with->('/nowhere/venv'));
    refused('before the first release', [qr{/nowhere yet: `weavectl install` makes}],
        $with->('/nowhere/current') . "[release]\nhome = /nowhere\n");
    refused('a folder that is none', [qr/pyvenv\.cfg/, qr/python3? -m venv/],
        $with->(root() . '/apps'));
    my ($major, $minor) = python_version() =~ /(\d+)\.(\d+)/;
    refused('its Python is gone', [qr{/nowhere/bin}, qr/venv/],
        $with->('%(here)s/venv'), undef,
        'venv/pyvenv.cfg' => "home = /nowhere/bin\n"
            . "version = $major.$minor.1\n",
        'venv/bin/python' => '');
    refused('a Python without an engine', [qr/3\.99/],
        $with->('%(here)s/venv'), undef,
        'venv/pyvenv.cfg' => "home = /usr/bin\nversion = 3.99.0\n",
        'venv/bin/python' => '');
};

subtest 'the script' => sub {
    refused('missing', [qr{/nowhere/app\.wsgi}, qr/sync\.ini:2\b/],
        "[wsgi]\nscript = /nowhere/app.wsgi\nvirtualenv = $venv\n");
    refused('a folder', qr{sync\.ini:2\b},
        '[wsgi]' . "\nscript = ${\ root()}\nvirtualenv = $venv\n");
    my ($status, $output, $httpd) = configtest(
        "[wsgi]\nscript = %(here)s/app.wsgi\nvirtualenv = $venv\n",
        undef, 'app.wsgi' => '');
    chmod 0, $httpd->dir . '/app.wsgi';
    ($status, $output) = $httpd->configtest;
    isnt $status, 0, 'unreadable: refused';
    like $output, qr/app\.wsgi/, 'unreadable: says so';
};

subtest 'an engine that is broken' => sub {
    my $build = conf_var('weave_build');
    my ($engine) = glob "$build/weave-engine-${\ python_version()}.so";
    my $httpd = WeaveTest::Httpd->new(ini => $good,
        expect => qr/WEAVE000[67]|AH00014/);
    my $folder = $httpd->dir . '/build';
    mkdir $folder;
    system('cp', "$build/mod_weave.so", $folder) == 0 or die 'cp';
    (my $modules = slurp(root() . '/conf/modules.conf')) =~
        s{^LoadModule weave_module .*}{LoadModule weave_module $folder/mod_weave.so}m;
    spew($httpd->dir . '/modules.conf', $modules);
    my $conf = slurp($httpd->dir . '/httpd.conf');
    $conf =~ s{^Include ".*?/modules\.conf"}{Include "$folder/../modules.conf"}m;
    spew($httpd->dir . '/httpd.conf', $conf);

    my ($status, $output) = $httpd->configtest;
    isnt $status, 0, 'missing: refused';
    like $output, qr/weave-engine-\S+\.so/, 'with its name';
    like $output, qr/make install|PYTHONS/, 'and the cure';

    my ($name) = $engine =~ m{([^/]*)$};
    spew("$folder/$name", substr slurp($engine), 0, 9000);
    ($status, $output) = $httpd->configtest;
    isnt $status, 0, 'truncated: refused';
    like $output, qr/weave-engine-\S+\.so/, 'with its name';
    like $output, qr/AH00014/, 'and httpd itself survives it';
};

# A virtualenv with one distribution, whose check is the Python text CHECK.
sub venv_with_check {
    my $check  = shift;
    my $python = python_version();
    my $lib    = "venv/lib/python$python/site-packages";
    return (
        'venv/pyvenv.cfg' => "home = /usr/bin\nversion = $python.0\n",
        'venv/app.wsgi' => "raise SystemExit('imported')\n",
        "$lib/tried.py" => $check,
        "$lib/tried-1.dist-info/METADATA" =>
            "Metadata-Version: 2.1\nName: tried\nVersion: 1\n",
        "$lib/tried-1.dist-info/entry_points.txt" =>
            "[mod_weave.check]\napp.wsgi = tried:check\ntried = tried:check\n");
}

subtest 'what the application says of its own sections' => sub {
    my $ini = "[DEFAULT]\nextends = more.ini\n[wsgi]\nvirtualenv ="
        . " %(here)s/venv\n%s\n\n[own]\n# a comment\na = 1\nb = %(here)s\n";
    my $try = sub {
        my ($check, $which) = @_;
        my %files = venv_with_check($check);
        my $httpd = WeaveTest::Httpd->new(expect => qr/WEAVE\d+|AH00014/,
            ini => sprintf $ini =~ s/%(?=\()/%%/gr, $which || 'script = app.wsgi');
        $files{'more.ini'} = "[own]\nc = 3\n";
        $httpd->write($_, $files{$_}) for keys %files;
        make_path($httpd->dir . '/venv/bin');
        symlink "/usr/bin/python${\ python_version()}",
            $httpd->dir . '/venv/bin/python';
        chmod 0600, $httpd->dir . '/sync.ini';
        return $httpd->configtest;
    };
    my $rows = <<'END';
def check(ini):
    lines = open(ini).read().splitlines()
    def at(start):
        return next(n for n, t in enumerate(lines, 1) if t.startswith(start))
    yield at('b ='), 'b is bad', 'error'
    yield at('c ='), 'c does \x1b[31mnothing\x9b2J\n', 'notice'
    yield at('a ='), 'a is bad\u2028' + 'x' * 100000, 'error'
    yield 0, 'all of it', 'notice'
    yield 10**30, 'far', 'notice'
END
    for my $which ('script = app.wsgi', 'module = tried') {
        my ($status, $output) = $try->($rows, $which);
        isnt $status, 0, "$which: an error fails";
        like $output, qr{WEAVE0275: \S+/sync\.ini:9: a is bad},
            'with its place';
        like $output, qr{WEAVE0275: \S+/sync\.ini:10: b is bad}, 'and all others';
        like $output, qr{WEAVE0276: \S+/more\.ini:2: c does \S+nothing},
            'in the file where it stands';
        like $output, qr{WEAVE0276: \S+/sync\.ini: all of it}, 'or in none';
        unlike $output, qr/[^\n -~]/, 'nothing for a terminal';
        cmp_ok length $output, '<', 8000, 'and no more than can be read';
        unlike $output, qr/imported|WEAVE0277/, 'the application is not imported';
    }
    my ($status, $output) = $try->("def check(ini):\n    return []\n");
    is $status, 0, 'nothing to say';
    unlike $output, qr/WEAVE\d+/, 'nothing said';
    my %broken = (
        'raise ValueError(ini)'    => qr{ValueError in \S+/tried\.py, line 2},
        'import os; os._exit(3)'   => qr/exit status 3/,
        'import os; os.abort()'    => qr/signal 6/,
        'yield 1'                  => qr/TypeError/,
        'import os; os.write(3, b"error many\n" * 99999)' => qr/more than fits/,
        'import os; os.write(3, b"error many\n"); return []' => qr/makes no sense/,
        'import sys; sys.stdout = None; exit("quietly")' => qr/SystemExit/,
    );
    for my $code (sort keys %broken) {
        ($status, $output) = $try->("def check(ini):\n    $code\n");
        is $status, 0, "$code: no fault of the sync.ini";
        like $output, qr/WEAVE0277: .*$broken{$code}/, 'but it is said';
    }
};

subtest 'directives' => sub {
    my $app = 'WeaveApp / "DIR/sync.ini"';
    refused('two applications in one httpd',
        [qr/embedded/, qr/other\.ini|sync\.ini/], $good,
        qq($app\nWeaveApp /other "DIR/other.ini"), 'other.ini' => $good);
    my ($status, $output) =
        configtest($good, qq($app\nWeaveApp /again "DIR/.././DIR/sync.ini")
            =~ s{DIR/../\./DIR}{DIR/.}r);
    is $status, 0, 'the same ini by another name is one' or diag $output;
    unlike $output, qr/WEAVE0300/, 'with nothing to say';
    refused('a mount twice', qr/mounted already/, $good, "$app\n$app");
    refused('a mount without a slash', qr{must start with /|start.* /}, $good,
        'WeaveApp sync "DIR/sync.ini"');
    refused('WeaveSet of an unknown key', qr/wsgi\.skript.*wsgi\.script/s,
        $good, "$app\nWeaveSet wsgi.skript x");
    refused('WeaveSet with a bad value', qr/queue_length/, $good,
        "$app\nWeaveSet limits.queue_length 0");
    refused('WeaveSet of a process key in a <Location>',
        qr/wsgi\.callable/, $good,
        "$app\n<Location /x>\nWeaveSet wsgi.callable x\n</Location>");
    ($status, $output) = configtest($good,
        "$app\n<Location /x>\nWeaveSet wsgi.pass_authorization off\n</Location>");
    is $status, 0, 'but a request key may stand there' or diag $output;
};

subtest 'two paths of one file' => sub {
    for my $case (['processes', qr{WEAVE0300: .*/sync\.ini and \S+/link\.ini: }],
                  ['embedded', undef]) {
        my ($mode, $like) = @$case;
        my $httpd = WeaveTest::Httpd->new(mode => $mode, ini => $good, conf => <<'END');
WeaveApp /a "DIR/sync.ini"
WeaveApp /b "DIR/link.ini"
WeaveApp /c "DIR//./link.ini"
END
        symlink 'sync.ini', $httpd->dir . '/link.ini' or die $!;
        my ($status, $output) = $httpd->configtest;
        is $status, 0, "$mode: accepted" or diag $output;
        $output .= $httpd->log_text;
        my @said = $output =~ /(WEAVE0300: .*)/g;
        is @said, $like ? 1 : 0, 'said for each pair' or diag $output;
        like $said[0], $like, 'and which' if $like;
    }
};

subtest 'start refuses the same' => sub {
    my $httpd = WeaveTest::Httpd->new(ini => "${good}skript = x\n",
        expect => qr/WEAVE0001|AH00014/);
    my ($status, $output) = $httpd->run('-k', 'start');
    isnt $status, 0, 'a bad ini';
    ok !-s $httpd->dir . '/httpd.pid', 'no httpd runs';
    like $output . $httpd->log_text, qr/skript/, 'and it says why';

    # it left the terminal first
    my $nowhere = WeaveTest::Httpd->new(ini => $good, mode => 'processes',
        conf => qq(WeaveRuntimeDir "DIR/no/run"\nWeaveApp / "DIR/sync.ini"));
    my $dir = $nowhere->dir;
    for my $args (['-t'], ['-k', 'start']) {
        ($status, $output) = $nowhere->run(@$args);
        isnt $status, 0, "@$args, without the folder above WeaveRuntimeDir";
        like $output, qr/WEAVE0162: .*\Q$dir\E\/no\b.*No such file/, 'and it says why';
    }
    ok !-s "$dir/httpd.pid", 'no httpd runs';
};

subtest 'several errors come at once' => sub {
    my ($status, $output) =
        configtest("${good}skript = x\n[limits]\nqueue_length = -1\n");
    isnt $status, 0, 'refused';
    like $output, qr/skript/, 'the first';
    like $output, qr/queue_length/, 'and the second';
};

finish;
