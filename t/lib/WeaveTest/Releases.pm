# SPDX-License-Identifier: Apache-2.0
#
# An httpd whose WeaveApp names links that lead to releases.
#
#   my $httpd = released('processes', qq(WeaveApp /sync "DIR/current/sync.ini"\n));
#   moves($httpd, current => 'r1');
#   $httpd->start;
#   serves_release($httpd, '/sync', 'r1', 'the first release');

package WeaveTest::Releases;

use strict;
use warnings FATAL => 'all';
use Exporter 'import';
use Test::More;
use WeaveTest qw(eventually slurp);
use WeaveTest::Httpd ();
use WeaveTest::Workers qw($GATES);

our @EXPORT = qw(released release moves serves_release);

# Answers with the name of its release; with ?gate=NAME once that is open.
my $APP = $GATES . <<'END';
from weave_test import note, query


def application(environ, start_response):
    note(environ, "in %d" % os.getpid())
    gate = query(environ).get("gate")
    if gate:
        stands_at(gate)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [environ["RELEASE"].encode()]
END

# DIR/r1 to DIR/r3, of which the last is broken. More is for WeaveTest::Httpd.
sub released {
    my ($mode, $conf, %arg) = @_;
    my $httpd = WeaveTest::Httpd->new(
        mode => $mode, app => $APP, conf => $conf, %arg);
    release($httpd, $_) for qw(r1 r2);
    release($httpd, 'r3', "[limits]\nno_such_key = 1\n");
    return $httpd;
}

# DIR/NAME, whose ini has MORE lines than DIR/sync.ini.
sub release {
    my ($httpd, $name, $more) = @_;
    my $ini = slurp($httpd->dir . '/sync.ini');
    mkdir $httpd->dir . "/$name" or die "$name: $!";
    $httpd->write("$name/sync.ini",
        ($ini =~ s/^(?=script)/environ.RELEASE = $name\n/mr) . ($more || ''));
    return;
}

# The link DIR/LINK leads to DIR/NAME from now on.
sub moves {
    my ($httpd, $link, $name) = @_;
    my $path = $httpd->dir . "/$link";
    symlink $name, "$path.new" or die "$path: $!";
    rename "$path.new", $path or die "$path: $!";
    return;
}

# Sooner or later PATH is answered by release NAME.
sub serves_release {
    my ($httpd, $path, $name, $why) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my $res;
    return ok(eventually(sub {
        $res = $httpd->get("$path/1.1/x");
        return $res->status == 200 && $res->body eq $name;
    }), $why) || diag $res->status . ' ' . $res->body;
}

1;
