# SPDX-License-Identifier: Apache-2.0
#
# How the application is found, and what the ini says about it.

use strict;
use warnings FATAL => 'all';
use Test::More;
use WeaveTest;
use WeaveTest::Httpd ();

my $venv = conf_var('weave_venv');
my $app  = <<'END';
import json
import os
import sys

def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps({
        "name": __name__, "file": __file__, "path": sys.path,
        "argv": sys.argv, "ini": environ["weave.ini"],
        "WEAVE_INI": os.environ.get("WEAVE_INI"),
        "OWN": os.environ.get("OWN"), "environ": environ.get("Mixed.Case"),
        "PYTHONPATH": [p for p in sys.path if "pythonpath" in p],
        "dont_write": sys.dont_write_bytecode, "flags": list(sys.flags),
        "utf8": sys.flags.utf8_mode, "stdin": sys.stdin.read(),
        "encoding": sys.getfilesystemencoding(),
    }).encode()]

class factory:
    @staticmethod
    def make(environ, start_response):
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b"nested"]
END

sub serve {
    my ($ini, %files) = @_;
    my $httpd = WeaveTest::Httpd->new(ini => $ini);
    $httpd->write($_, $files{$_}) for keys %files;
    $httpd->start;
    return $httpd;
}

sub seen { return JSON::PP->new->decode($_[0]->get('/')->body) }

sub ends {
    my $httpd = shift;
    ok defined $httpd->stop, 'stops';
    $httpd->no_crash;
    $httpd->quiet;
}

subtest 'a script' => sub {
    local $ENV{PYTHONPATH} = '/nowhere/pythonpath';
    local $ENV{PYTHONHOME} = '/nowhere';
    my $httpd = serve("[wsgi]\nscript = %(here)s/app.wsgi\n"
            . "virtualenv = $venv\npython_path = %(here)s/one\n"
            . "environ.Mixed.Case = kept\n[workers]\nenv.OWN = set\n",
        'app.wsgi' => $app);
    my $seen = seen($httpd);
    my $dir  = $httpd->dir;
    is $seen->{file}, "$dir/app.wsgi", '__file__';
    is $seen->{ini}, "$dir/sync.ini", 'weave.ini';
    is $seen->{WEAVE_INI}, "$dir/sync.ini", 'WEAVE_INI';
    is $seen->{OWN}, 'set', 'workers.env.NAME';
    is $seen->{environ}, 'kept', 'wsgi.environ.NAME keeps its case';
    ok grep({ $_ eq "$dir/one" } @{ $seen->{path} }), 'python_path';
    ok grep({ m{^\Q$venv\E/lib} } @{ $seen->{path} }), 'the virtualenv';
    is_deeply $seen->{PYTHONPATH}, [], 'PYTHON* is ignored';
    ok !grep({ $_ eq '' } @{ $seen->{path} }), 'the current folder is not in it';
    is $seen->{utf8}, 1, 'UTF-8 mode';
    is $seen->{stdin}, '', 'sys.stdin is empty';
    is ref $seen->{argv}, 'ARRAY', 'sys.argv';
    ends($httpd);
};

subtest 'a module' => sub {
    my $httpd = serve("[wsgi]\nmodule = package.inner\nvirtualenv = $venv\n"
            . "python_path = %(here)s/lib\n",
        'lib/package/__init__.py' => '', 'lib/package/inner.py' => $app);
    is seen($httpd)->{name}, 'package.inner', 'by its dotted name';
    ends($httpd);
};

subtest 'a callable by another name' => sub {
    my $httpd = serve("[wsgi]\nscript = %(here)s/app.wsgi\n"
            . "virtualenv = $venv\ncallable = factory.make\n",
        'app.wsgi' => $app);
    is $httpd->get('/')->body, 'nested', 'dots are attributes';
    ends($httpd);
};

subtest 'no virtualenv' => sub {
    my $httpd = serve("[wsgi]\nscript = %(here)s/app.wsgi\n",
        'app.wsgi' => $app);
    is seen($httpd)->{file}, $httpd->dir . '/app.wsgi',
        'the default engine\'s own Python';
    ends($httpd);
};

# ---- the environment of httpd ----

# Shows os.environ, and what of a sync.ini is expanded.
my $shows = <<'END';
import json
import os

def application(environ, start_response):
    with open(os.environ["WEAVE_INI"]) as stream:
        text = stream.read()
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps([dict(os.environ), text]).encode()]
END

sub with_environment {
    my ($mode, @inis) = @_;
    local %ENV = (%ENV,
        OF_HTTPD => "p\xc3\xa4ssed", OTHER => 'one', OWN => 'of httpd', LANG => 'C',
        HOME => '/nowhere', PYTHONPATH => '/nowhere', PYTHONHOME => '/nowhere',
        APACHE_LOG_DIR => '/nowhere', NOTIFY_SOCKET => '/nowhere');
    my $ini = "[wsgi]\nscript = %(here)s/app.wsgi\nvirtualenv = $venv\n"
        . "[own]\nkey = \${OF_HTTPD}!\n[workers]\nprocesses = 1\nenv.OWN = set\n";
    my $httpd = WeaveTest::Httpd->new(mode => $mode, app => $shows,
        ini => $ini, expect => qr/WEAVE0251/);
    $httpd->write("$_.ini", $ini . $inis[$_]) for 0 .. $#inis;
    $httpd->configure(join '', map { qq{WeaveApp /$_ "DIR/$_.ini"\n} } 0 .. $#inis);
    $httpd->start;
    return $httpd;
}

# (os.environ, the text of the sync.ini) as application NUMBER has them.
sub environment {
    my ($httpd, $number) = @_;
    ok eventually(sub { $httpd->get("/$number")->status == 200 }), 'it serves';
    return @{ JSON::PP->new->utf8->decode($httpd->get("/$number")->body) };
}

subtest 'what workers have of the environment of httpd' => sub {
    my $httpd = with_environment('processes', '',
        "pass_env = OF_HTTPD, OWN\n  GONE NOTIFY_SOCKET\n", "pass_env = *\n");
    my ($none, $text) = environment($httpd, 0);
    is $none->{OF_HTTPD}, undef, 'nothing by itself';
    like $text, qr/^key\s*=\s*"?p\xe4ssed!/m, 'but what the sync.ini has of it';
    isnt $none->{HOME}, '/nowhere', 'nor its user\'s';

    my ($named) = environment($httpd, 1);
    is $named->{OF_HTTPD}, "p\xe4ssed", 'what is named';
    is $named->{OWN}, 'set', 'workers.env.NAME is stronger';
    is $named->{NOTIFY_SOCKET}, '/nowhere', 'systemd\'s, when it is named';
    ok !exists $named->{OTHER}, 'nothing else';
    my @notes = $httpd->log_text =~ /(WEAVE0251.*)/g;
    is scalar @notes, 1, 'it is said once' or diag "@notes";
    like "@notes", qr{1\.ini:\d+: workers\.pass_env: .*: GONE$}, 'what is not there';
    unlike +($httpd->configtest)[1], qr/WEAVE0251/, 'configtest does not know it';

    my ($all) = environment($httpd, 2);
    is_deeply [map { $all->{$_} } qw(OF_HTTPD OTHER OWN)],
        ["p\xe4ssed", 'one', 'set'], '`*`: all';
    ok !exists $all->{$_}, "but $_" for qw(PYTHONPATH PYTHONHOME APACHE_LOG_DIR NOTIFY_SOCKET);
    isnt $all->{LANG}, 'C', 'nor the language';
    isnt $all->{HOME}, '/nowhere', 'nor the home of its user';
    ends($httpd);
};

subtest 'embedded' => sub {
    my $httpd = with_environment('embedded', '');
    my ($all, $text) = environment($httpd, 0);
    is_deeply [map { $all->{$_} } qw(OF_HTTPD OTHER OWN HOME NOTIFY_SOCKET)],
        ["p\xe4ssed", 'one', 'set', '/nowhere', '/nowhere'], 'all of it';
    ends($httpd);
};

finish;
