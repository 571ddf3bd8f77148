# SPDX-License-Identifier: Apache-2.0
#
# How the application is found, and what the ini says about it.

use strict;
use warnings FATAL => 'all';
use File::Path qw(make_path);
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
    for my $name (keys %files) {
        my $path = $httpd->dir . "/$name";
        (my $folder = $path) =~ s{/[^/]*$}{};
        make_path($folder);
        spew($path, $files{$name});
    }
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

finish;
